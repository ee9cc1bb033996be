"""The kopf handlers, and the process around them.

A timer ticks every five seconds and nearly always returns at once; `saga_operator.tick` says when not.
"""

import asyncio
import logging
import os
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import kopf
from prometheus_client import CollectorRegistry, start_http_server

from saga_operator import tick as ticking
from saga_operator.cluster import Cluster
from saga_operator.endpoint import ClusterUnavailable, OwnToken
from saga_operator.memory import SILENCE, Heartbeat, StatusBook
from saga_operator.metrics import Metrics
from saga_operator.resource import ANNOTATIONS, FINALIZER, GROUP, PLURAL, SWEEP_REQUEST, VERSION
from saga_operator.settings import Settings
from saga_operator.tick import Monitor, Runtime

TICK = 5.0
REGISTRY = kopf.OperatorRegistry()


@kopf.on.startup(registry=REGISTRY)
def configure(settings: kopf.OperatorSettings, **_: Any) -> None:  # noqa: ANN401 - kopf's protocol
    """Use names of our own, so that another kopf operator on the same objects shares nothing with us."""
    settings.persistence.finalizer = FINALIZER
    settings.persistence.progress_storage = kopf.AnnotationsProgressStorage(prefix=ANNOTATIONS)
    settings.persistence.diffbase_storage = kopf.AnnotationsDiffBaseStorage(prefix=ANNOTATIONS)
    settings.posting.reporting_component = "saga-operator"
    settings.posting.reporting_instance = os.environ.get("HOSTNAME", "saga-operator")
    settings.posting.event_name_prefix = "sagamonitor-"
    # Without them a connection that died silently is watched forever (the first) or too long (the second).
    settings.watching.server_timeout = 240
    settings.watching.client_timeout = 300
    settings.watching.connect_timeout = 10
    settings.networking.request_timeout = 30
    settings.process.ultimate_exiting_timeout = None  # the kubelet does that, and sooner
    # A sweep in progress stops after the current order; it gets this long before kopf begins to poll for it.
    settings.background.instant_exit_timeout = 5
    settings.background.cancellation_polling = 2


@kopf.on.startup(registry=REGISTRY)
async def await_the_resource(memo: Runtime, **_: Any) -> None:  # noqa: ANN401 - kopf's protocol
    """With scanning disabled kopf serves only what exists when it starts: so wait for the CRD."""
    try:
        served = await memo.cluster.serves_sagamonitors()
    except ClusterUnavailable as error:
        raise kopf.TemporaryError(f"the Kubernetes API is unavailable: {error}", delay=TICK) from error
    if not served:
        raise kopf.TemporaryError(f"{PLURAL}.{GROUP} is not served: is the CRD installed?", delay=TICK)


@kopf.on.login(registry=REGISTRY)
def log_in(**kwargs: Any) -> kopf.ConnectionInfo | None:  # noqa: ANN401 - kopf's protocol
    return kopf.login_with_service_account(**kwargs) or kopf.login_with_kubeconfig(**kwargs)


@kopf.on.probe(registry=REGISTRY, id="monitors")
def be_alive(memo: Runtime, **_: Any) -> int:  # noqa: ANN401 - kopf's protocol
    silent = memo.heartbeat.silent()
    if silent:
        # Anything else would be retried within the probe, which would hang instead of failing.
        raise kopf.PermanentError(f"no tick in {SILENCE:g} s of the monitors {silent}")
    return len(memo.heartbeat)


@kopf.on.event(GROUP, VERSION, PLURAL, registry=REGISTRY)
def know(event: kopf.RawEvent, meta: kopf.Meta, memo: Runtime, **_: Any) -> None:  # noqa: ANN401 - kopf's protocol
    """Expect ticks of every monitor that exists, and forget those that are deleted."""
    namespace, name, uid = str(meta.namespace), str(meta.name), str(meta.uid)
    if event["type"] == "DELETED":
        ticking.forget(memo, namespace, name, uid)
    elif meta.get("deletionTimestamp"):
        memo.heartbeat.forget(uid)  # its timer stops now, but other finalizers may keep the object
    else:
        memo.heartbeat.expect(uid)


@kopf.timer(GROUP, VERSION, PLURAL, registry=REGISTRY, interval=TICK, backoff=TICK)
async def watch_over(
    body: kopf.Body,
    memo: Runtime,
    stopped: kopf.DaemonStopped | None = None,
    **_: Any,  # noqa: ANN401 - kopf's protocol
) -> None:
    """Tick, and post the Events that came of it."""

    def keep_on() -> bool:
        return not stopped and not body.spec.get("suspend")  # the body is live

    for event in await ticking.tick(memo, _snapshot(body), keep_on):
        kopf.event(body, type=event.type, reason=event.reason, message=event.message)


def _snapshot(body: kopf.Body) -> Monitor:
    meta = body.metadata
    return Monitor(
        namespace=str(meta.namespace),
        name=str(meta.name),
        uid=str(meta.uid),
        generation=int(meta["generation"]),
        spec=dict(body.spec),
        status=dict(body.status),
        sweep_request=meta.annotations.get(SWEEP_REQUEST),
    )


async def run(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT."""
    async with AsyncExitStack() as stack:
        registry = CollectorRegistry()
        runtime = Runtime(
            cluster=await Cluster.connect(stack),
            session=await stack.enter_async_context(aiohttp.ClientSession()),
            own_token=OwnToken(settings.order_token_file, settings.trusted_namespaces),
            metrics=Metrics(registry),
            heartbeat=Heartbeat(),
            book=StatusBook(),
        )
        stack.callback(_serve_metrics(settings.metrics_port, registry))
        await serve(runtime, settings)


async def serve(
    runtime: Runtime,
    settings: Settings,
    ready: asyncio.Event | None = None,
    stop: asyncio.Event | None = None,
) -> None:
    """Run kopf until `stop` is set or a signal comes; `ready` is set when its watches have begun."""
    kopf_settings = kopf.OperatorSettings()
    kopf_settings.scanning.disabled = bool(settings.watch_namespace)
    await kopf.operator(
        registry=REGISTRY,
        settings=kopf_settings,
        memo=runtime,
        standalone=True,  # one replica; a second by mistake is harmless: docs/adr/0020
        clusterwide=not settings.watch_namespace,
        namespaces=settings.watch_namespace,
        liveness_endpoint=f"http://0.0.0.0:{settings.liveness_port}/healthz",
        ready_flag=ready,
        stop_flag=stop,
    )


def _serve_metrics(port: int, registry: CollectorRegistry) -> Callable[[], None]:
    server, thread = start_http_server(port, registry=registry)

    def stop() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return stop


def main() -> None:
    settings = Settings()
    kopf.configure(
        debug=settings.log_level == "debug",
        quiet=settings.log_level in {"warning", "error"},
        log_format=kopf.LogFormat.JSON,
    )
    if settings.log_level != "debug":
        logging.getLogger("kopf.objects").setLevel(logging.WARNING)  # it tells of every tick
    asyncio.run(run(settings))
