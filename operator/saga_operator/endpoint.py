"""From `spec.orderService` to an address and a token; and who may be sent the operator's own token.

The operator's token opens the order service's admin API, so it goes only to a Service in a namespace that
the operator's owner trusts. Everything else brings a token of its own, or each writer of a SagaMonitor
could collect the operator's.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from saga_operator.policy.orders import Endpoint, OrderServiceError
from saga_operator.spec import OrderServiceRef


class ClusterUnavailable(Exception):
    """The Kubernetes API did not answer, or refused."""


class ServicePort(NamedTuple):
    """What a Service says of a port; `by_tls`, by its appProtocol."""

    number: int
    by_tls: bool = False


class Cluster(Protocol):
    """What is asked of the Kubernetes API. All of it may raise ClusterUnavailable."""

    async def service_port(self, namespace: str, name: str, port: str) -> ServicePort: ...

    async def secret_token(self, namespace: str, name: str, key: str) -> str: ...


@dataclass(frozen=True)
class OwnToken:
    """The projected token. The kubelet replaces the file, so it is read at every use."""

    path: Path
    namespaces: frozenset[str]

    def read_for(self, namespace: str) -> str:
        """Read the token for a Service of `namespace`. Raise OrderServiceError where it is not trusted."""
        if namespace not in self.namespaces:
            message = (
                f"the operator's token is not for namespace {namespace}: set orderService.tokenSecretRef"
            )
            raise OrderServiceError("TokenUnavailable", message)
        try:
            return self.path.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise OrderServiceError(
                "TokenUnavailable", f"the operator's token cannot be read: {error}"
            ) from error


async def resolve(ref: OrderServiceRef, namespace: str, cluster: Cluster, own: OwnToken) -> Endpoint:
    """Raise OrderServiceError where the Service, its port or a token is missing, or ClusterUnavailable."""
    return Endpoint(
        await _url(ref, namespace, cluster), await _token(ref, namespace, cluster, own), ref.timeout
    )


async def _url(ref: OrderServiceRef, namespace: str, cluster: Cluster) -> str:
    if ref.service is None:
        return str(ref.url)
    port = await cluster.service_port(namespace, ref.service, ref.port)
    scheme = "https" if port.by_tls else "http"
    return f"{scheme}://{ref.service}.{namespace}.svc:{port.number}"


async def _token(ref: OrderServiceRef, namespace: str, cluster: Cluster, own: OwnToken) -> str:
    if ref.token is not None:
        return await cluster.secret_token(namespace, ref.token.name, ref.token.key)
    if ref.service is None:
        raise OrderServiceError("TokenUnavailable", "a url needs its own tokenSecretRef")
    return own.read_for(namespace)
