"""The few calls to the Kubernetes API that kopf does not make for us."""

import base64
import binascii
from collections.abc import Awaitable, Mapping
from contextlib import AsyncExitStack
from http import HTTPStatus
from typing import Any, Self, TypeVar

import aiohttp
from kubernetes.aio import config
from kubernetes.aio.client import ApiClient, Configuration, CoreV1Api, CustomObjectsApi
from kubernetes.aio.client.exceptions import ApiException

from saga_operator.endpoint import ClusterUnavailable
from saga_operator.policy.orders import OrderServiceError
from saga_operator.resource import GROUP, PLURAL, VERSION

TOKEN_LABEL = ("sagashop.io/use", "order-token")
"""A Secret is sent as a bearer token only if its owner says so: else each writer of a SagaMonitor could
have any Secret of the namespace sent to an address of their own."""

T = TypeVar("T")

_TIMEOUT = 10.0
"""Seconds for one call; the next tick tries again."""


class Cluster:
    def __init__(self, client: ApiClient) -> None:
        self._core = CoreV1Api(client)
        self._custom = CustomObjectsApi(client)

    @classmethod
    async def connect(cls, stack: AsyncExitStack) -> Self:
        """By the pod's service account, or by KUBECONFIG outside of a cluster."""
        configuration = Configuration()
        try:
            config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]  # kubernetes has no types
        except config.ConfigException:
            await config.load_kube_config(client_configuration=configuration)  # type: ignore[no-untyped-call]  # kubernetes has no types
        return cls(await stack.enter_async_context(ApiClient(configuration)))

    async def serves_sagamonitors(self) -> bool:
        listed = await _found(self._custom.get_api_resources(GROUP, VERSION, _request_timeout=_TIMEOUT))
        return listed is not None and any(resource.name == PLURAL for resource in listed.resources)

    async def service_port(self, namespace: str, name: str, port: str) -> int:
        """Return the number of a Service's named port. Refuse an ExternalName, which leads elsewhere."""
        service = await _found(self._core.read_namespaced_service(name, namespace, _request_timeout=_TIMEOUT))
        if service is None:
            raise OrderServiceError("ServiceNotFound", f"Service {name} does not exist")
        if service.spec is None or service.spec.type == "ExternalName":
            raise OrderServiceError("ServiceNotUsable", f"Service {name} is an ExternalName")
        numbers = [entry.port for entry in service.spec.ports or () if entry.name == port]
        if not numbers:
            raise OrderServiceError("PortNotFound", f"Service {name} has no port named {port}")
        return int(numbers[0])

    async def secret_token(self, namespace: str, name: str, key: str) -> str:
        """Read a token from a labelled Secret. Raise OrderServiceError where there is none for us."""
        secret = await _found(self._core.read_namespaced_secret(name, namespace, _request_timeout=_TIMEOUT))
        if secret is None:
            raise OrderServiceError("TokenUnavailable", f"Secret {name} does not exist")
        label, value = TOKEN_LABEL
        labels = secret.metadata.labels if secret.metadata else None
        if (labels or {}).get(label) != value:
            raise OrderServiceError("TokenUnavailable", f"Secret {name} lacks the label {label}: {value}")
        try:
            return base64.b64decode((secret.data or {})[key]).decode("ascii").strip()
        except (KeyError, binascii.Error, UnicodeDecodeError) as error:
            raise OrderServiceError("TokenUnavailable", f"Secret {name} has no token under {key}") from error

    async def write_status(self, namespace: str, name: str, status: Mapping[str, Any]) -> bool:
        """Return whether the resource still exists."""
        patched = self._custom.patch_namespaced_custom_object_status(
            GROUP,
            VERSION,
            namespace,
            PLURAL,
            name,
            {"status": dict(status)},
            _content_type="application/merge-patch+json",
            _request_timeout=_TIMEOUT,
        )
        return await _found(patched) is not None


async def _found(answer: Awaitable[T]) -> T | None:
    """Return None where the object does not exist. Raise ClusterUnavailable where that is unknown."""
    try:
        return await answer
    except ApiException as error:
        if error.status == HTTPStatus.NOT_FOUND:
            return None
        raise ClusterUnavailable(f"{error.status} {error.reason}") from error
    except TimeoutError as error:
        raise ClusterUnavailable(f"the Kubernetes API did not answer within {_TIMEOUT:g} s") from error
    except aiohttp.ClientError as error:
        raise ClusterUnavailable(str(error) or type(error).__name__) from error
