"""The FastAPI shell of every service: life cycle, probes, metrics, errors, the caller's identity."""

import asyncio
import gc
import logging
import resource
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from http import HTTPStatus
from types import FrameType
from typing import Annotated, Any, Final, cast

import aiohttp
import uvicorn
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request, Response
from fastapi.security import HTTPBearer
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest, start_http_server

from services.shared import logs, telemetry
from services.shared.health import Background, Readiness
from services.shared.http import problems
from services.shared.http.auth import Forbidden, Tokens, User, published_at
from services.shared.http.problems import problem
from services.shared.http.protocol import Door, Limits
from services.shared.http.requests import RequestScope
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
) -> FastAPI:
    """An app with `router`. `life` starts what the service needs, leaves it in `app.state`, and ends it.

    `unavailable`: exceptions that mean that something the service needs does not answer.
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

    app = FastAPI(
        title=f"sagashop {settings.service}",
        version=VERSION,
        lifespan=lifespan,
        openapi_url="/openapi.json" if own_openapi else None,
        responses={"default": problems.DESCRIBED},
        # A span for each dependency and endpoint costs an order more than its saga: RequestScope makes one.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    # Set when the process is asked to end: streams stop then, instead of being waited for.
    app.state.stopping = asyncio.Event()
    app.add_middleware(RequestScope)
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
IDEMPOTENT: Final[dict[str, Any]] = {
    "parameters": [
        {
            "name": "Idempotency-Key",
            "in": "header",
            "required": False,
            "description": "The same key again, within a day, gives what it gave.",
            "schema": {"type": "string", "minLength": 1, "maxLength": LONGEST_KEY},
        }
    ]
}


async def _caller(request: Request, _: Annotated[object, Depends(_bearer)]) -> User:
    tokens: Tokens = request.app.state.tokens
    return await tokens.user(request.headers.get("authorization"))


async def _idempotency_key(request: Request) -> str | None:
    key = request.headers.get("idempotency-key")
    if key is not None and not 0 < len(key) <= LONGEST_KEY:
        raise HTTPException(
            HTTPStatus.UNPROCESSABLE_ENTITY, f"Idempotency-Key: 1 to {LONGEST_KEY} characters"
        )
    return key


async def _admin(caller: Annotated[User, Depends(_caller)]) -> User:
    if not caller.is_admin:
        raise Forbidden("this is for administrators")
    return caller


Caller = Annotated[User, Depends(_caller)]
Admin = Annotated[User, Depends(_admin)]
# On routes with `openapi_extra=IDEMPOTENT`.
IdempotencyKeyHeader = Annotated[str | None, Depends(_idempotency_key)]

# --- probes -----------------------------------------------------------------------------------------------

_probes = APIRouter(include_in_schema=False)


@_probes.get("/healthz")
async def healthz(request: Request) -> Response:
    background: Background | None = getattr(request.app.state, "background", None)
    if background is not None and background.failure is not None:
        return problem(HTTPStatus.INTERNAL_SERVER_ERROR, background.failure)
    return Response("ok", media_type="text/plain")


@_probes.get("/readyz")
async def readyz(request: Request) -> Response:
    readiness = await request.app.state.readiness()
    if not readiness.ready:
        return problem(HTTPStatus.SERVICE_UNAVAILABLE, readiness.detail)
    return Response(readiness.detail, media_type="text/plain")


_metrics = APIRouter(include_in_schema=False)


@_metrics.get("/metrics")
async def metrics() -> Response:
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
