"""SagaMonitors, as the Kubernetes API tells them to the pod's own service account. Only reads.

One list is all that is asked: for that its client is not worth the two seconds and 25 MiB that it costs.
"""

import asyncio
import os
import ssl
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import quote

import aiohttp

from saga_operator.resource import GROUP, PLURAL, VERSION, Monitor
from sagactl.faults import AbsentError, ForbiddenError, UnavailableError

# Where Kubernetes puts what a pod needs to be known by: token, namespace, ca.crt. The token is renewed there.
ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
TIMEOUT: Final = aiohttp.ClientTimeout(total=5)
AT_MOST: Final = 100
NO_CLUSTER: Final = (
    "They are in a cluster: the console does not run in one, or its chart does not allow it to ask"
    " (console.kubernetesApi)."
)
FORBIDDEN: Final = "the Kubernetes API does not let the console list SagaMonitors of {}"
NOT_KNOWN: Final = "this cluster knows no SagaMonitors: its operator was never installed"
NO_ANSWER: Final = "the Kubernetes API does not answer: {}"


class Account(NamedTuple):
    token: str
    namespace: str
    by: ssl.SSLContext


class Cluster(NamedTuple):
    url: str
    account: Path = ACCOUNT

    @classmethod
    def here(cls, environment: Mapping[str, str] = os.environ, account: Path = ACCOUNT) -> "Cluster | None":
        """None outside of a cluster, and in a pod that has no token."""
        host = environment.get("KUBERNETES_SERVICE_HOST", "")
        if not host or not (account / "token").exists():
            return None
        at = f"[{host}]" if ":" in host else host
        return cls(f"https://{at}:{environment.get('KUBERNETES_SERVICE_PORT', '443')}", account)

    async def monitors(self) -> Sequence[Monitor]:
        """Of the release's namespace, by name.

        Raises UnavailableError, ForbiddenError, AbsentError where the cluster has none of the kind.
        """
        try:
            account = await asyncio.to_thread(_read, self.account)
            listed = await self._listed(account)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise UnavailableError(NO_ANSWER.format(error or type(error).__name__)) from error
        found = [Monitor.of(each) for each in listed["items"]]
        return sorted(found, key=lambda monitor: monitor.name)

    async def _listed(self, account: Account) -> Mapping[str, Any]:
        path = f"/apis/{GROUP}/{VERSION}/namespaces/{quote(account.namespace, safe='')}/{PLURAL}"
        headers = {"Authorization": f"Bearer {account.token}"}
        async with (
            aiohttp.ClientSession(self.url, timeout=TIMEOUT) as http,
            http.get(path, params={"limit": AT_MOST}, headers=headers, ssl=account.by) as answer,
        ):
            if answer.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
                raise ForbiddenError(FORBIDDEN.format(account.namespace))
            if answer.status == HTTPStatus.NOT_FOUND:
                raise AbsentError(NOT_KNOWN)
            answer.raise_for_status()
            found: Mapping[str, Any] = await answer.json()
            return found


def _read(folder: Path) -> Account:
    token, namespace = ((folder / name).read_text().strip() for name in ("token", "namespace"))
    return Account(token, namespace, ssl.create_default_context(cafile=str(folder / "ca.crt")))
