"""An operator at work against a stand-in for the API server, with the loop's time for its clock."""

import asyncio
import base64
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from kmock import KubernetesEmulator, Request, ResourceInfo, action, resource, subresource
from kubernetes.aio.client import ApiClient, Configuration
from prometheus_client import CollectorRegistry, generate_latest

from saga_operator.cluster import CHECKS_LABEL, TOKEN_LABEL, Cluster
from saga_operator.endpoint import OwnToken
from saga_operator.main import serve
from saga_operator.memory import Heartbeat, StatusBook
from saga_operator.metrics import Metrics
from saga_operator.resource import GROUP, PLURAL, RELEASE_LABEL, VERSION
from saga_operator.settings import Settings
from saga_operator.tick import Runtime
from sagactl import polling
from tests.operator.order_service import TOKEN, FakeOrderService
from tests.ports import free_port

START = datetime(2026, 1, 1, tzinfo=UTC)
NAMESPACE, NAME, UID = "shop", "monitor", "uid-of-the-monitor"
SAGAMONITORS, SECRETS, SERVICES = f"{GROUP}/{VERSION}/{PLURAL}", "v1/secrets", "v1/services"
PODS = "v1/pods"
DEPLOYMENTS, DEPLOYMENT = "apps/v1/deployments", "shop-saga-operator"
RELEASE = "shop"
OBJECTS = f"/apis/{GROUP}/{VERSION}/namespaces/{NAMESPACE}/{PLURAL}"
OBJECT = f"{OBJECTS}/{NAME}"
RESOURCES = {
    SECRETS: ResourceInfo(kind="Secret", singular="secret", namespaced=True, verbs={"get"}),
    SERVICES: ResourceInfo(kind="Service", singular="service", namespaced=True, verbs={"get"}),
    PODS: ResourceInfo(kind="Pod", singular="pod", namespaced=True, verbs={"list"}),
    DEPLOYMENTS: ResourceInfo(kind="Deployment", singular="deployment", namespaced=True, verbs={"get"}),
    "v1/events": ResourceInfo(kind="Event", singular="event", namespaced=True, verbs={"create"}),
    "v1/namespaces": ResourceInfo(kind="Namespace", singular="namespace", namespaced=False, verbs={"list"}),
    "apiextensions.k8s.io/v1/customresourcedefinitions": ResourceInfo(
        kind="CustomResourceDefinition", singular="customresourcedefinition", namespaced=False, verbs={"list"}
    ),
}
SAGAMONITOR = ResourceInfo(
    kind="SagaMonitor",
    singular="sagamonitor",
    namespaced=True,
    subresources={"status"},
    verbs={"get", "list", "watch", "create", "patch"},
)


class ApiServer(KubernetesEmulator):
    """Names what is created by `generateName`, as Events are: the emulator takes them all for one.

    Refuses what it is told to; a reaction of the emulator would store what it refuses.
    """

    refuses_status_writes = False
    refuses_secrets = False
    refuses_deployments = False
    refuses_pods = False
    finds_invalid = ""

    async def _handle(self, request: Request) -> web.StreamResponse:
        refused = (
            (self.refuses_status_writes and request.subresource == "status")
            or (self.refuses_secrets and request.resource == resource(SECRETS))
            or (self.refuses_deployments and request.resource == resource(DEPLOYMENTS))
        )
        if refused:
            return web.json_response({"kind": "Status", "reason": "InternalError"}, status=500)
        if request.action == action.LIST and request.resource == resource(PODS):
            return self._selected(request)
        if request.action == action.CREATE and request.resource == resource(SAGAMONITORS):
            if self.finds_invalid:
                return web.json_response({"kind": "Status", "message": self.finds_invalid}, status=422)
            request.data["metadata"] |= {
                "uid": f"uid-{request.id}",
                "generation": 1,
                "resourceVersion": "1",
            }
            request.data["status"] = {}
        if request.action == action.CREATE and "generateName" in request.data["metadata"]:
            request.data["metadata"]["name"] = f"{request.data['metadata']['generateName']}{request.id}"
        return await super()._handle(request)

    def _selected(self, request: Request) -> web.StreamResponse:
        """By one label, which the emulator does not look at."""
        if self.refuses_pods:
            return web.json_response({"kind": "Status", "reason": "Forbidden"}, status=403)
        key, _, value = str(request.params["labelSelector"]).partition("=")
        found = [dict(self.objects[place].raw) for place in self.objects if place[0] == resource(PODS)]
        items = [pod for pod in found if pod["metadata"]["labels"].get(key) == value]
        return web.json_response({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items})


async def until(condition: Callable[[], object], what: str, within: float = 60.0) -> None:
    """Of what is seen in this process. Raises NotInTimeError."""

    async def look() -> object:
        return condition()

    await polling.until(look, within=within, what=what)


@dataclass
class Kube:
    """A cluster that knows our resource, with one monitor of `order_service` once `monitor` was called."""

    api: ApiServer
    order_service: FakeOrderService
    stack: AsyncExitStack
    session: aiohttp.ClientSession
    registries: list[CollectorRegistry] = field(default_factory=list)

    def install(self) -> None:
        for name, known in RESOURCES.items():
            self.api.resources[name] = known

    def define(self) -> None:
        self.api.resources[SAGAMONITORS] = SAGAMONITOR

    def undefine(self) -> None:
        del self.api.resources[SAGAMONITORS]

    def monitor(
        self,
        status: dict[str, Any] | None = None,
        name: str = NAME,
        metadata: dict[str, Any] | None = None,
        **spec: Any,
    ) -> None:
        self.secret("token")
        self.api.objects[SAGAMONITORS, NAMESPACE, name] = {
            "apiVersion": f"{GROUP}/{VERSION}",
            "kind": "SagaMonitor",
            "metadata": {
                "name": name,
                "namespace": NAMESPACE,
                "uid": UID if name == NAME else f"uid-of-{name}",
                "generation": 1,
                "labels": {RELEASE_LABEL: RELEASE},
                "annotations": {},
                "resourceVersion": "1",  # the emulator keeps none, and kopf insists on it
                **(metadata or {}),
            },
            "spec": {"orderService": self.order_service_ref, **spec},
            "status": status or {},
        }

    @property
    def order_service_ref(self) -> dict[str, Any]:
        return {"url": self.order_service.url, "tokenSecretRef": {"name": "token"}}

    def deployment(self, **metadata: Any) -> None:
        """The operator's own."""
        metadata = {
            "name": DEPLOYMENT,
            "namespace": NAMESPACE,
            "uid": "uid-of-the-deployment",
            **metadata,
        }
        self.api.objects[DEPLOYMENTS, NAMESPACE, DEPLOYMENT] = {"metadata": metadata}

    def secret(self, name: str, labels: dict[str, str] | None = None, **data: str) -> None:
        encoded = {
            key: base64.b64encode(value.encode()).decode()
            for key, value in (data or {"token": TOKEN}).items()
        }
        labels = dict([TOKEN_LABEL]) if labels is None else labels
        metadata = {"name": name, "namespace": NAMESPACE, "labels": labels}
        self.api.objects[SECRETS, NAMESPACE, name] = {"metadata": metadata, "data": encoded}

    def service(self, name: str, **spec: Any) -> None:
        metadata = {"name": name, "namespace": NAMESPACE}
        self.api.objects[SERVICES, NAMESPACE, name] = {"metadata": metadata, "spec": spec}

    def check(self, name: str, at: datetime, message: str, exit_code: int = 0, **labels: str) -> None:
        """A pod that checked the books of the release's order service, and has ended."""
        ended = {"exitCode": exit_code, "finishedAt": f"{at:%Y-%m-%dT%H:%M:%SZ}", "message": message}
        self.pod(name, labels or {CHECKS_LABEL: f"{RELEASE}-order"}, {"terminated": ended})

    def pod(self, name: str, labels: dict[str, str], state: dict[str, Any]) -> None:
        status = {
            "name": "check",
            "state": state,
            "image": "sagactl",
            "imageID": "",
            "ready": False,
            "restartCount": 0,
        }
        self.api.objects[PODS, NAMESPACE, name] = {
            "metadata": {"name": name, "namespace": NAMESPACE, "labels": labels},
            "status": {"containerStatuses": [status]},
        }

    async def patch(self, body: dict[str, Any]) -> None:
        async with self.session.patch(f"{self.api.url}{OBJECT}", json=body) as response:
            response.raise_for_status()

    async def annotate(self, key: str, value: str) -> None:
        await self.patch({"metadata": {"annotations": {key: value}}})

    async def respec(self, generation: int, **spec: Any) -> None:
        await self.patch({"metadata": {"generation": generation}, "spec": spec})

    async def delete(self, name: str = NAME) -> None:
        async with self.session.delete(f"{self.api.url}{OBJECTS}/{name}") as response:
            response.raise_for_status()

    @property
    def finalizers(self) -> list[str]:
        return list(self.named(NAME)["metadata"].get("finalizers", []))

    def named(self, name: str) -> dict[str, Any]:
        """A SagaMonitor as it is."""
        return dict(self.api.objects[SAGAMONITORS, NAMESPACE, name].last.raw)

    @property
    def there(self) -> bool:
        return not self.api.objects[SAGAMONITORS, NAMESPACE, NAME].deleted

    @property
    def status(self) -> dict[str, Any]:
        return dict(self.named(NAME)["status"])

    @property
    def conditions(self) -> dict[str, tuple[str, str]]:
        return {c["type"]: (c["status"], c["reason"]) for c in self.status["conditions"]}

    @property
    def status_writes(self) -> int:
        return len(self.api[action.UPDATE, resource(SAGAMONITORS), subresource("status")])

    @property
    def events(self) -> list[str]:
        return [request.data["reason"] for request in self.api[action.CREATE, resource("v1/events")]]

    @property
    def event_messages(self) -> list[str]:
        return [request.data["message"] for request in self.api[action.CREATE, resource("v1/events")]]

    async def client(self) -> ApiClient:
        return await self.stack.enter_async_context(ApiClient(Configuration(host=str(self.api.url))))

    @asynccontextmanager
    async def operator(
        self, namespaces: tuple[str, ...] = (NAMESPACE,), release: str = RELEASE, **settings: Any
    ) -> AsyncIterator["Operator"]:
        loop = asyncio.get_running_loop()
        registry = CollectorRegistry()
        given = Settings(
            watch_namespace=namespaces,
            pod_namespace=(NAMESPACE,),
            release=release,
            order_service=f"{release}-order",
            deployment=DEPLOYMENT,
            metrics_port=0,
            liveness_port=free_port(),
            **settings,
        )
        runtime = Runtime(
            cluster=Cluster(await self.client()),
            session=self.session,
            own_token=OwnToken(Path("/nowhere"), frozenset()),
            metrics=Metrics(registry),
            heartbeat=Heartbeat(loop.time),
            book=StatusBook(),
            owner=given.owner,
            clock=lambda: START + timedelta(seconds=loop.time()),
            jitter=lambda: 1.0,
        )
        stop, ready = asyncio.Event(), asyncio.Event()
        task = asyncio.create_task(serve(runtime, given, ready, stop))
        try:
            liveness = f"http://127.0.0.1:{given.liveness_port}/healthz"
            yield Operator(runtime, registry, liveness, self.session, stop)
        finally:
            stop.set()
            await task


@dataclass
class Operator:
    runtime: Runtime
    registry: CollectorRegistry
    liveness: str
    session: aiohttp.ClientSession
    stop: asyncio.Event

    @property
    def metrics(self) -> str:
        return generate_latest(self.registry).decode()

    def metric(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, {"namespace": NAMESPACE, "name": NAME, **labels})

    async def health(self) -> int:
        async with self.session.get(self.liveness) as response:
            return response.status
