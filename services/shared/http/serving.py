"""A service's process: its server, which is told to end by a signal and then finishes what is at hand."""

import asyncio
import gc
import logging
import resource
import socket
import sys
from contextlib import suppress
from types import FrameType
from typing import Final, cast

import uvicorn
from fastapi import FastAPI

from services.shared.http.protocol import Door, Limits, TurnAway, nobody
from services.shared.settings import Settings

SHUTDOWN_SECONDS: Final = 20
GC_THRESHOLDS: Final = (20_000, 20, 50)
KEEP_ALIVE_SECONDS: Final = 30
STALLED_SECONDS: Final = 30.0
log = logging.getLogger(__name__)


def serve(app: FastAPI, settings: Settings, turn_away: TurnAway = nobody) -> None:
    """Run until SIGTERM or SIGINT; then finish what is at hand."""
    server = make_server(app, settings, turn_away)
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


def make_server(app: FastAPI, settings: Settings, turn_away: TurnAway = nobody) -> uvicorn.Server:
    identity = settings.identity
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        loop="uvloop",
        # uvicorn calls it to make one for each connection, as it would a class.
        http=cast("type[asyncio.Protocol]", Door(_limits(settings), turn_away).open),
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
        ssl_context_factory=None if identity is None else lambda *_: identity.context(),
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
            log.info("serving on port %d%s", self.config.port, " by TLS" if self.config.is_ssl else "")

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        log.info("stopping: what is at hand is finished first")
        await super().shutdown(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._stopping.set()
        super().handle_exit(sig, frame)
