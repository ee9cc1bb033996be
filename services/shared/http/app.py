"""The FastAPI shell of every service: its life cycle, its probes and metrics, its errors."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from typing import Any, Final

import aiohttp
from fastapi import APIRouter, FastAPI
from prometheus_client import start_http_server
from pydantic.alias_generators import to_camel
from starlette.middleware import Middleware

from services.shared import logs, telemetry
from services.shared.health import Background, Readiness
from services.shared.http import probes, problems
from services.shared.http.auth import Tokens, published_at
from services.shared.http.bodies import examples_of_models
from services.shared.http.described import DEFAULT, NAME, PROBLEM
from services.shared.http.methods import HeadAsGet
from services.shared.http.preconditions import JSON
from services.shared.http.requests import Refusing, RequestScope, in_a_document
from services.shared.new_secrets import Renewal
from services.shared.settings import Settings

VERSION: Final = "0.1.0"
ReadinessCheck = Callable[[], Awaitable[Readiness]]


def create_app(
    settings: Settings,
    router: APIRouter,
    life: Callable[[FastAPI], AbstractAsyncContextManager[ReadinessCheck]],
    *,
    also: Iterable[APIRouter] = (),
    own_openapi: bool = True,
    unavailable: Iterable[type[Exception]] = (),
    before_routes: Iterable[Middleware] = (),
    takes: bytes = JSON,
    refusing: Refusing = in_a_document,
    begins_traces: bool = False,
) -> FastAPI:
    """An app with `router`. `life` starts what the service needs, leaves it in `app.state`, and ends it.

    `also`: more routers. Inside of `router`, FastAPI would work out each of their routes twice.
    `unavailable`: exceptions that mean that something the service needs does not answer.
    `before_routes`: what sees requests as they came, after they were checked.
    `takes`: as what bodies come. `refusing`: how it is said what of a request is wrong that no route sees.
    `begins_traces`: callers' traces are not gone on with, only linked.
    """
    renewal = Renewal.of_process(settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        logs.setup(settings.service, level=settings.log_level, form=settings.log_format)
        telemetry.setup(settings.service)
        telemetry.BUILD.labels(settings.service, VERSION).set(1)
        async with aiohttp.ClientSession() as session:
            app.state.http = session
            app.state.tokens = Tokens(
                published_at(settings.jwks_url, session), settings.jwt_issuer, settings.jwt_audience
            )
            with metrics_apart(settings):
                async with life(app) as readiness, _renewed(readiness, renewal) as renewed:
                    app.state.readiness = renewed
                    yield
        telemetry.shutdown()

    app = _App(
        title=f"sagashop {settings.service}",
        version=VERSION,
        lifespan=lifespan,
        redirect_slashes=False,  # RequestScope does, by a path instead of the Host header
        openapi_url="/openapi.json" if own_openapi else None,
        responses={"default": DEFAULT},
        generate_unique_id_function=lambda route: to_camel(route.name),
        # A span for each dependency and endpoint costs an order more than its saga: RequestScope makes one.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    # Set when the process is asked to end: streams stop then, instead of being waited for.
    app.state.stopping = asyncio.Event()
    around = Middleware(RequestScope, takes, refusing, begins_traces=begins_traces)
    app.user_middleware = [around, *before_routes, Middleware(HeadAsGet)]
    problems.install(app, unavailable)
    app.include_router(probes.router)
    if settings.metrics_port is None:
        app.include_router(probes.metrics_router)
    for each in (router, *also):
        app.include_router(each)
    return app


@asynccontextmanager
async def _renewed(readiness: ReadinessCheck, renewal: Renewal | None) -> AsyncIterator[ReadinessCheck]:
    """Meanwhile watches the Secrets that the process has read; where they change it is not ready any more."""
    if renewal is None:
        yield readiness
        return

    async def check() -> Readiness:
        return renewal.of(await readiness())

    background = Background()
    background.run_once(renewal.watch(), "looking for new secrets")
    try:
        yield check
    finally:
        await background.stop()


@contextmanager
def metrics_apart(settings: Settings) -> Iterator[None]:
    """Metrics on a port of their own, which need not be as public as the service is."""
    if settings.metrics_port is None:
        yield
        return
    server, thread = start_http_server(settings.metrics_port, settings.host)
    if settings.identity is not None:
        # Not by its own arguments: it would shake hands before a connection has a thread of its own, and one
        # client who stalls would silence all.
        server.socket = settings.identity.context().wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _App(FastAPI):
    """Describes problems as one schema, which no model of ours is, and examples with their nulls, which
    FastAPI leaves out.
    """

    def openapi(self) -> dict[str, Any]:
        document = super().openapi()
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        schemas[NAME] = PROBLEM
        for name, examples in examples_of_models():
            if name in schemas:
                schemas[name]["examples"] = examples
        return document
