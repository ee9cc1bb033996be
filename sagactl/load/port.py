"""What others ask of a load generator: Prometheus for its figures, a checker for what it was promised."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest

from sagactl.load.figures import RECENT_SECONDS, Figures
from services.shared.tls import Identity

NONE = f"no order was accepted within the last {RECENT_SECONDS / 60:g} minutes"


@asynccontextmanager
async def serving(
    host: str, port: int, identity: Identity | None, figures: Figures, registry: CollectorRegistry
) -> AsyncIterator[None]:
    """By TLS where there is an identity. Raises OSError where the port is taken, and as an Identity does."""

    async def alive(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def ready(_: web.Request) -> web.Response:
        return web.Response(text="ok\n") if figures.recent else _none()

    async def accepted(_: web.Request) -> web.Response:
        recent = figures.recent
        return web.Response(text="\n".join([*recent, ""])) if recent else _none()

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(
            body=generate_latest(registry), headers={"Content-Type": "text/plain; version=0.0.4"}
        )

    app = web.Application()
    routes = {"/healthz": alive, "/readyz": ready, "/accepted": accepted, "/metrics": metrics}
    app.add_routes([web.get(path, answer) for path, answer in routes.items()])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        context = None if identity is None else identity.context()
        await web.TCPSite(runner, host, port, ssl_context=context).start()
        yield
    finally:
        await runner.cleanup()


def _none() -> web.Response:
    return web.Response(text=f"{NONE}\n", status=HTTPStatus.SERVICE_UNAVAILABLE)
