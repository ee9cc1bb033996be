"""The calls to the Kubernetes API: kopf only watches for us."""

import base64
import binascii
import json
import os
from collections.abc import Awaitable, Mapping
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Self, TypeVar

import aiohttp
from kubernetes.aio import config
from kubernetes.aio.client import (
    ApiClient,
    Configuration,
    CoreV1Api,
    CoreV1Event,
    CustomObjectsApi,
    V1EventSource,
    V1ObjectMeta,
    V1ObjectReference,
)
from kubernetes.aio.client.exceptions import ApiException

from saga_operator.conditions import MESSAGE_LIMIT, Event
from saga_operator.consistency import Ended
from saga_operator.endpoint import ClusterUnavailable, ServicePort
from saga_operator.policy.orders import OrderServiceError
from saga_operator.resource import GROUP, KIND, PLURAL, VERSION, Monitor

TOKEN_LABEL = ("sagashop.io/use", "order-token")
"""A Secret is sent as a bearer token only if its owner says so: else each writer of a SagaMonitor could
have any Secret of the namespace sent to an address of their own."""

CHECKS_LABEL = "sagashop.io/checks"
"""A pod that checks the books has it: the name of the order Service whose orders they are."""

T = TypeVar("T")


class RefusedError(Exception):
    """The API server found an object invalid, and said why."""


_MERGE = "application/merge-patch+json"
_COMPONENT = "saga-operator"

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

    async def service_port(self, namespace: str, name: str, port: str) -> ServicePort:
        """Return what a Service says of its named port. Refuse an ExternalName, which leads elsewhere."""
        service = await _found(self._core.read_namespaced_service(name, namespace, _request_timeout=_TIMEOUT))
        if service is None:
            raise OrderServiceError("ServiceNotFound", f"Service {name} does not exist")
        if service.spec is None or service.spec.type == "ExternalName":
            raise OrderServiceError("ServiceNotUsable", f"Service {name} is an ExternalName")
        found = [entry for entry in service.spec.ports or () if entry.name == port]
        if not found:
            raise OrderServiceError("PortNotFound", f"Service {name} has no port named {port}")
        return ServicePort(int(found[0].port), by_tls=found[0].app_protocol == "https")

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

    async def ended_checks(self, namespace: str, order_service: str) -> tuple[Ended, ...]:
        """How the pods ended that checked the books of an order service, as far as they are still there."""
        listed = await _found(
            self._core.list_namespaced_pod(
                namespace, label_selector=f"{CHECKS_LABEL}={order_service}", _request_timeout=_TIMEOUT
            )
        )
        statuses = [
            status
            for pod in (listed.items if listed is not None else ())
            for status in (pod.status.container_statuses if pod.status is not None else ()) or ()
        ]
        ended = [status.state.terminated for status in statuses if status.state is not None]
        return tuple(
            Ended(each.finished_at, each.exit_code, each.message or "")
            for each in ended
            if each is not None and each.finished_at is not None
        )

    async def write_status(self, namespace: str, name: str, status: Mapping[str, Any]) -> bool:
        """Return whether the resource still exists."""
        patched = self._custom.patch_namespaced_custom_object_status(
            GROUP,
            VERSION,
            namespace,
            PLURAL,
            name,
            {"status": dict(status)},
            _content_type=_MERGE,
            _request_timeout=_TIMEOUT,
        )
        return await _found(patched) is not None

    async def post(self, monitor: Monitor, event: Event) -> None:
        """Post a Kubernetes Event about a monitor."""
        about = V1ObjectReference(
            api_version=f"{GROUP}/{VERSION}",
            kind=KIND,
            namespace=monitor.namespace,
            name=monitor.name,
            uid=monitor.uid,
        )
        await self._post(about, event)

    async def post_of_deployment(self, namespace: str, name: str, uid: str, event: Event) -> None:
        """Post a Kubernetes Event about the operator's own Deployment."""
        about = V1ObjectReference(
            api_version="apps/v1", kind="Deployment", namespace=namespace, name=name, uid=uid
        )
        await self._post(about, event)

    async def deployment_uid(self, namespace: str, name: str) -> str | None:
        """Return None where the Deployment is gone or going: nothing may be made for it any more."""
        read = self._custom.get_namespaced_custom_object(
            "apps", "v1", namespace, "deployments", name, _request_timeout=_TIMEOUT
        )
        found: Any = await _found(read)
        going = found is None or "deletionTimestamp" in found["metadata"]
        return None if going else str(found["metadata"]["uid"])

    async def create_monitor(self, namespace: str, body: Mapping[str, Any]) -> None:
        """Create a SagaMonitor. That one of its name is there already is no error. May raise RefusedError."""
        created = self._custom.create_namespaced_custom_object(
            GROUP, VERSION, namespace, PLURAL, dict(body), _request_timeout=_TIMEOUT
        )
        await _accepted(created)

    async def change_monitor(self, namespace: str, name: str, change: Mapping[str, Any]) -> None:
        """Apply a JSON merge patch to a SagaMonitor. May raise RefusedError."""
        changed = self._custom.patch_namespaced_custom_object(
            GROUP,
            VERSION,
            namespace,
            PLURAL,
            name,
            dict(change),
            _content_type=_MERGE,
            _request_timeout=_TIMEOUT,
        )
        await _accepted(changed)

    async def _post(self, about: V1ObjectReference, event: Event) -> None:
        now = datetime.now(UTC)
        body = CoreV1Event(
            metadata=V1ObjectMeta(generate_name="sagamonitor-", namespace=about.namespace),
            involved_object=about,
            type=event.type,
            reason=event.reason,
            message=event.message[:MESSAGE_LIMIT],
            source=V1EventSource(component=_COMPONENT),
            reporting_component=_COMPONENT,
            reporting_instance=os.environ.get("HOSTNAME", _COMPONENT),
            first_timestamp=now,
            last_timestamp=now,
            count=1,
        )
        created = self._core.create_namespaced_event(str(about.namespace), body, _request_timeout=_TIMEOUT)
        await _found(created)


async def _accepted(answer: Awaitable[object]) -> None:
    """Raise RefusedError where the object is invalid. That it is there already, or gone, is no error."""
    try:
        await _found(answer)
    except ClusterUnavailable as error:
        answered = error.__cause__
        if not isinstance(answered, ApiException):
            raise
        if answered.status in {HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY}:
            raise RefusedError(_message(answered)) from error
        if answered.status != HTTPStatus.CONFLICT:
            raise


def _message(error: ApiException) -> str:
    try:
        return str(json.loads(error.body or "")["message"])
    except (TypeError, ValueError, KeyError):
        return f"{error.status} {error.reason}"


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
