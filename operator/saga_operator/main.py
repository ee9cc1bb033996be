"""The kopf handlers, and the process around them.

kopf watches, serves the probe and ends the process well. What is done about a SagaMonitor, and when, is
`saga_operator.scheduler`'s: no handler here needs a finalizer, so none is ever put on an object.
"""

import asyncio
import logging
import ssl
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import kopf
from prometheus_client import CollectorRegistry, start_http_server

from saga_operator.cluster import Cluster
from saga_operator.endpoint import ClusterUnavailable, OwnToken
from saga_operator.memory import SILENCE, Heartbeat, StatusBook
from saga_operator.metrics import Metrics, process_metrics
from saga_operator.own_monitor import Keeper, OwnMonitor
from saga_operator.resource import FINALIZER, GROUP, PLURAL, VERSION, Monitor
from saga_operator.scheduler import TICK, Scheduler
from saga_operator.settings import Settings
from saga_operator.tick import Runtime

REGISTRY = kopf.OperatorRegistry()


@kopf.on.startup(registry=REGISTRY)
def configure(settings: kopf.OperatorSettings, **_: Any) -> None:  # noqa: ANN401 - kopf's protocol
    # kopf takes it off every object that still has it of an earlier operator.
    settings.persistence.finalizer = FINALIZER
    settings.posting.enabled = False
    # Without them a connection that died silently is watched forever (the first) or too long (the second).
    settings.watching.server_timeout = 240
    settings.watching.client_timeout = 300
    settings.watching.connect_timeout = 10
    settings.networking.request_timeout = 30
    settings.process.ultimate_exiting_timeout = None  # the kubelet does that, and sooner


@kopf.on.startup(registry=REGISTRY)
async def await_the_resource(memo: Scheduler, **_: Any) -> None:  # noqa: ANN401 - kopf's protocol
    """With scanning disabled kopf serves only what exists when it starts: so wait for the CRD."""
    try:
        served = await memo.runtime.cluster.serves_sagamonitors()
    except ClusterUnavailable as error:
        raise kopf.TemporaryError(f"the Kubernetes API is unavailable: {error}", delay=TICK) from error
    if not served:
        raise kopf.TemporaryError(f"{PLURAL}.{GROUP} is not served: is the CRD installed?", delay=TICK)


@kopf.on.login(registry=REGISTRY)
def log_in(**kwargs: Any) -> kopf.ConnectionInfo | None:  # noqa: ANN401 - kopf's protocol
    return kopf.login_with_service_account(**kwargs) or kopf.login_with_kubeconfig(**kwargs)


@kopf.on.probe(registry=REGISTRY, id="monitors")
def be_alive(memo: Scheduler, **_: Any) -> int:  # noqa: ANN401 - kopf's protocol
    silent = memo.runtime.heartbeat.silent()
    if silent:
        # Anything else would be retried within the probe, which would hang instead of failing.
        raise kopf.PermanentError(f"no tick in {SILENCE:g} s of the monitors {silent}")
    return len(memo.runtime.heartbeat)


@kopf.on.event(GROUP, VERSION, PLURAL, registry=REGISTRY)
async def know(event: kopf.RawEvent, memo: Scheduler, **_: Any) -> None:  # noqa: ANN401 - kopf's protocol
    """Serve every monitor that exists, and forget those that are deleted."""
    monitor = Monitor.of(event["object"])
    if event["type"] == "DELETED" or event["object"]["metadata"].get("deletionTimestamp"):
        memo.forget(monitor)
    else:
        memo.know(monitor)


async def run(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT."""
    async with AsyncExitStack() as stack:
        registry = CollectorRegistry()
        process_metrics(registry)
        runtime = Runtime(
            cluster=await Cluster.connect(stack),
            session=await stack.enter_async_context(aiohttp.ClientSession()),
            own_token=OwnToken(settings.order_token_file, settings.trusted_namespaces),
            metrics=Metrics(registry),
            heartbeat=Heartbeat(),
            book=StatusBook(),
            owner=settings.owner,
        )
        stack.callback(_serve_metrics(settings, registry))
        await serve(runtime, settings)


async def serve(
    runtime: Runtime,
    settings: Settings,
    ready: asyncio.Event | None = None,
    stop: asyncio.Event | None = None,
) -> None:
    """Run kopf until `stop` is set or a signal comes; `ready` is set when its watches have begun."""
    scheduler = _scheduler(runtime, settings)
    kopf_settings = kopf.OperatorSettings()
    kopf_settings.scanning.disabled = bool(settings.watch_namespace)
    ticking = asyncio.create_task(scheduler.run())
    try:
        await kopf.operator(
            registry=REGISTRY,
            settings=kopf_settings,
            memo=scheduler,
            standalone=True,  # one replica; a second by mistake is harmless: docs/adr/0020
            clusterwide=not settings.watch_namespace,
            namespaces=settings.watch_namespace,
            liveness_endpoint=settings.probed_at,
            ready_flag=ready,
            stop_flag=stop,
        )
    finally:
        scheduler.stop()
        await ticking


@kopf.on.cleanup(registry=REGISTRY)
async def stop_ticking(memo: Scheduler, **_: Any) -> None:  # noqa: ANN401 - kopf's protocol
    """Let sweeps end after the order in hand: when this returns kopf cancels whatever still runs."""
    memo.stop()
    await memo.idle()


def _scheduler(runtime: Runtime, settings: Settings) -> Scheduler:
    if settings.monitor is None:
        return Scheduler(runtime)
    wanted = OwnMonitor(
        runtime.owner.namespace,
        settings.monitor.name,
        settings.monitor.labels,
        settings.monitor.spec,
        settings.deployment,
    )
    return Scheduler(runtime, Keeper(wanted, runtime.fleet, runtime.cluster).keep)


def _serve_metrics(settings: Settings, registry: CollectorRegistry) -> Callable[[], None]:
    server, thread = start_http_server(settings.metrics_port, str(settings.host), registry)
    if settings.tls_cert_file is not None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(settings.tls_cert_file, settings.tls_key_file, password="")
        # Hands are shaken by a connection's own thread: one client who stalls does not silence all.
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)

    def stop() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return stop


def main() -> None:
    settings = Settings.given()
    kopf.configure(
        debug=settings.log_level == "debug",
        quiet=settings.log_level in {"warning", "error"},
        log_format=kopf.LogFormat.JSON,
    )
    if settings.log_level != "debug":
        # They tell of every event, of every probe and of what is answered to it: some 25 lines a minute.
        for chatty in ("kopf.objects", "kopf.activities", "aiohttp.access"):
            logging.getLogger(chatty).setLevel(logging.WARNING)
    asyncio.run(run(settings))
