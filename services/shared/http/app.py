"""The FastAPI shell of every service: life cycle, probes, metrics, errors, the caller's identity."""

import asyncio
import gc
import logging
import resource
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from types import FrameType
from typing import Annotated, Any, Final, cast

import aiohttp
import uvicorn
from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.security import HTTPBearer
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest, start_http_server
from pydantic.alias_generators import to_camel
from starlette.middleware import Middleware

from services.shared import logs, telemetry
from services.shared.contract.codes import Code
from services.shared.health import Background, Readiness
from services.shared.http import problems
from services.shared.http.auth import Forbidden, KeysUnavailable, Tokens, Unauthenticated, User, published_at
from services.shared.http.bodies import examples_of_models
from services.shared.http.described import DEFAULT, NAME, PROBLEM
from services.shared.http.methods import HeadAsGet
from services.shared.http.problems import problem
from services.shared.http.protocol import Door, Limits
from services.shared.http.requests import RequestScope
from services.shared.http.rights import Right, refusal
from services.shared.http.validation import invalid
from services.shared.settings import Settings

VERSION: Final = "0.1.0"
SHUTDOWN_SECONDS: Final = 20
GC_THRESHOLDS: Final = (20_000, 20, 50)
LONGEST_KEY: Final = 200
KEEP_ALIVE_SECONDS: Final = 30
STALLED_SECONDS: Final = 30.0
log = logging.getLogger(__name__)
ReadinessCheck = Callable[[], Awaitable[Readiness]]


def create_app(
    settings: Settings,
    router: APIRouter,
    life: Callable[[FastAPI], AbstractAsyncContextManager[ReadinessCheck]],
    *,
    own_openapi: bool = True,
    unavailable: Iterable[type[Exception]] = (),
    before_routes: Iterable[Middleware] = (),
) -> FastAPI:
    """An app with `router`. `life` starts what the service needs, leaves it in `app.state`, and ends it.

    `unavailable`: exceptions that mean that something the service needs does not answer.
    `before_routes`: what sees requests as they came, after they were checked.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        logs.setup(settings.service, level=settings.log_level, form=settings.log_format)
        telemetry.setup(settings.service)
        async with aiohttp.ClientSession() as session:
            app.state.http = session
            app.state.tokens = Tokens(
                published_at(settings.jwks_url, session), settings.jwt_issuer, settings.jwt_audience
            )
            with _metrics_apart(settings):
                async with life(app) as readiness:
                    app.state.readiness = readiness
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
    app.user_middleware = [Middleware(RequestScope), *before_routes, Middleware(HeadAsGet)]
    problems.install(app, unavailable)
    app.include_router(_probes)
    if settings.metrics_port is None:
        app.include_router(_metrics)
    app.include_router(router)
    return app


@contextmanager
def _metrics_apart(settings: Settings) -> Iterator[None]:
    """Metrics on a port of their own, which need not be as public as the service is."""
    if settings.metrics_port is None:
        yield
        return
    server, thread = start_http_server(settings.metrics_port, settings.host)
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


def serve(app: FastAPI, settings: Settings) -> None:
    """Run until SIGTERM or SIGINT; then finish what is at hand."""
    server = make_server(app, settings)
    # Each connection is a file, and the usual limit of 1024 is one for programs that still use select().
    _, most_files = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most_files, most_files))
    # What is there now stays; what requests make is short-lived. The default thresholds look through all of
    # it some hundred times a second, for a tenth of the CPU time.
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    with suppress(KeyboardInterrupt):
        server.run()
    if not server.started:
        sys.exit("the service did not start")


def make_server(app: FastAPI, settings: Settings) -> uvicorn.Server:
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        loop="uvloop",
        # uvicorn calls it to make one for each connection, as it would a class.
        http=cast("type[asyncio.Protocol]", Door(_limits(settings)).open),
        # Nothing here speaks WebSocket: a request to upgrade is answered as a plain one.
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        # The gateway works out the address itself; uvicorn would believe anybody on this machine.
        proxy_headers=False,
        # Longer than our clients keep idle connections, so that none sends on one that is just being closed.
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )
    return _Server(config, app.state.stopping)


def _limits(settings: Settings) -> Limits:
    return Limits(
        connections=settings.max_connections,
        header_seconds=settings.header_timeout_seconds,
        request_seconds=settings.request_timeout_seconds,
        stalled_seconds=STALLED_SECONDS,
    )


class _Server(uvicorn.Server):
    """Tells the answers that have no end that it is time; and the logs when it begins and ends."""

    def __init__(self, config: uvicorn.Config, stopping: asyncio.Event) -> None:
        super().__init__(config)
        self._stopping = stopping

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            log.info("serving on port %d", self.config.port)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        log.info("stopping: what is at hand is finished first")
        await super().shutdown(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._stopping.set()
        super().handle_exit(sig, frame)


# --- what routes ask for ----------------------------------------------------------------------------------


# Headers are read by hand: FastAPI's own parameter costs a tenth of an order's time. These document them.
_bearer = HTTPBearer(auto_error=False)
# Says that the answer is about something that an earlier request with the key made.
REPLAYED: Final = {"Idempotency-Replayed": "true"}
IDEMPOTENT: Final[dict[str, Any]] = {
    "parameters": [
        {
            "name": "Idempotency-Key",
            "in": "header",
            "required": False,
            "description": "The same key again, within a day, makes nothing new: the answer is what the first"
            " request made, as it is now, with the header Idempotency-Replayed: true.",
            "schema": {"type": "string", "minLength": 1, "maxLength": LONGEST_KEY},
        }
    ]
}


async def caller_of(request: Request, _: Annotated[object, Depends(_bearer)]) -> User:
    tokens: Tokens = request.app.state.tokens
    return await tokens.user(request.headers.get("authorization"))


async def _maybe_caller(request: Request, _: Annotated[object, Depends(_bearer)]) -> User | None:
    """For routes that anybody may ask: who cannot be known is anybody, with an expired token, too."""
    tokens: Tokens = request.app.state.tokens
    authorization = request.headers.get("authorization")
    if authorization is None:
        return None
    try:
        return await tokens.user(authorization)
    except (Unauthenticated, KeysUnavailable):
        return None


async def _idempotency_key(request: Request) -> str | None:
    key = request.headers.get("idempotency-key")
    if key is not None and not 0 < len(key) <= LONGEST_KEY:
        raise invalid("header", ["Idempotency-Key"], f"a key has 1 to {LONGEST_KEY} characters")
    return key


class Holder:
    """A caller who has this right: `Annotated[User, Depends(Holder(Right.RESTOCK))]`."""

    def __init__(self, right: Right) -> None:
        self._right = right

    async def __call__(self, caller: Annotated[User, Depends(caller_of)]) -> User:
        if not caller.may(self._right):
            raise Forbidden(refusal(self._right))
        return caller


Caller = Annotated[User, Depends(caller_of)]
MaybeCaller = Annotated[User | None, Depends(_maybe_caller)]
# On routes with `openapi_extra=IDEMPOTENT`.
IdempotencyKeyHeader = Annotated[str | None, Depends(_idempotency_key)]

# --- probes -----------------------------------------------------------------------------------------------

_probes = APIRouter(include_in_schema=False)


@_probes.get("/healthz")
async def healthz(request: Request) -> Response:
    background: Background | None = getattr(request.app.state, "background", None)
    if background is not None and background.failure is not None:
        return problem(Code.INTERNAL_ERROR, background.failure)
    return Response("ok", media_type="text/plain")


@_probes.get("/readyz")
async def readyz(request: Request) -> Response:
    readiness = await request.app.state.readiness()
    if not readiness.ready:
        return problem(Code.UNAVAILABLE, readiness.detail)
    return Response(readiness.detail, media_type="text/plain")


_metrics = APIRouter(include_in_schema=False)


@_metrics.get("/metrics")
async def metrics() -> Response:
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
