"""A release's pods, as the Kubernetes API of the pod's own cluster tells of them."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, NamedTuple

import aiohttp

from sagactl.faults import ForbiddenError, UnavailableError

ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
API: Final = "https://kubernetes.default.svc"
ANSWERS_WITHIN: Final = aiohttp.ClientTimeout(total=10)


class Pod(NamedTuple):
    name: str
    uid: str
    # The chart that it belongs to.
    chart: str
    ready: bool


class Cluster(NamedTuple):
    """What a service account may do in its own namespace: list pods, and delete them."""

    session: aiohttp.ClientSession
    api: str
    account: Path

    async def pods(self, release: str) -> list[Pod]:
        """Of the shop, in the order of their names. Raises UnavailableError, ForbiddenError."""
        selector = f"app.kubernetes.io/instance={release},app.kubernetes.io/part-of=sagashop"
        found = await self._call("GET", "", params={"labelSelector": selector})
        return sorted(map(_pod, found["items"]))

    async def kill(self, pod: Pod) -> None:
        """At once, as a node does that loses power; not another one that has got its name meanwhile.

        Raises UnavailableError, ForbiddenError.
        """
        options = {"gracePeriodSeconds": 0, "preconditions": {"uid": pod.uid}}
        await self._call("DELETE", f"/{pod.name}", json=options)

    async def _call(self, method: str, path: str, **more: Any) -> Any:  # noqa: ANN401  # JSON, as aiohttp takes and gives it
        token, namespace = await asyncio.to_thread(self._told)
        url = f"{self.api}/api/v1/namespaces/{namespace}/pods{path}"
        headers = {"Authorization": f"Bearer {token}"}
        try:
            async with self.session.request(method, url, headers=headers, **more) as answer:
                said = await answer.json(content_type=None)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise UnavailableError(f"the Kubernetes API does not answer: {error}") from error
        if answer.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            raise ForbiddenError(f"the Kubernetes API refuses: {said.get('message')}")
        if not answer.ok:
            raise UnavailableError(f"the Kubernetes API answers {answer.status}: {said.get('message')}")
        return said

    def _told(self) -> tuple[str, str]:
        """Its token, which is renewed now and then, and its namespace."""
        return (self.account / "token").read_text(), (self.account / "namespace").read_text()


def _pod(document: Mapping[str, Any]) -> Pod:
    metadata = document["metadata"]
    conditions = {each["type"]: each["status"] for each in document["status"].get("conditions", ())}
    ready = conditions.get("Ready") == "True" and "deletionTimestamp" not in metadata
    return Pod(metadata["name"], metadata["uid"], metadata["labels"].get("app.kubernetes.io/name", ""), ready)


@asynccontextmanager
async def reached(api: str, account: Path) -> AsyncIterator[Cluster]:
    """Raises OSError where there is no service account."""
    context = ssl.create_default_context(cafile=account / "ca.crt") if api.startswith("https:") else False
    connector = aiohttp.TCPConnector(ssl=context)
    async with aiohttp.ClientSession(timeout=ANSWERS_WITHIN, connector=connector) as session:
        yield Cluster(session, api, account)
