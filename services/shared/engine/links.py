"""A connection to RabbitMQ that is made again whenever it is lost.

A service has two, one for publishing and one for consuming: the broker stops reading from a connection that
publishes while it has too little memory or disk, and acknowledgements on another connection still go
through, and end that shortage. Each connection is a generation of its own: channels, delivery tags and
outstanding confirms die with it. What was not confirmed stays in the outbox, what was not acknowledged is
delivered again.
"""

import asyncio
import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from typing import Final, cast

import aio_pika
from aio_pika.abc import AbstractConnection
from aiormq import AuthenticationError, Channel, ChannelAccessRefused, ProbableAuthenticationError
from yarl import URL

from services.shared.engine import lenient
from services.shared.engine.writing import PATIENCE_SECONDS, ignore_late

# A broker may stand still for half a minute and keeps its connections; after three heartbeats it is gone. It
# notices as soon that a consumer is gone, and delivers to others what that one had.
HEARTBEAT_SECONDS: Final = 10
CONNECT_SECONDS: Final = 10.0
RECONNECT_SECONDS: Final = (0.2, 0.5, 1.0, 2.0, 3.0)
CLOSE_SECONDS: Final = 2.0
# Of a broker that does not know this user (as one that came back empty knows none), or lets it do too little.
REFUSALS: Final = (AuthenticationError, ProbableAuthenticationError, ChannelAccessRefused)
log = logging.getLogger(__name__)
# Connects to the broker at a URL, under a name for its operators.
Connect = Callable[[str, str], Awaitable[AbstractConnection]]
# For all connections of the process.
lenient.install()


class Link(ABC):
    """A connection that is made again whenever it is lost."""

    def __init__(self, url: str, name: str, connect: Connect) -> None:
        self._open = connect
        self._url = URL(url)
        if "heartbeat" not in self._url.query:
            self._url = self._url.update_query(heartbeat=HEARTBEAT_SECONDS)
        self._name = name
        self._connection: AbstractConnection | None = None
        # Set while the connection is good, and never before its set-up is complete.
        self._up = asyncio.Event()
        # Since when it is up, or down (monotonic seconds).
        self.since = time.monotonic()
        self.connected_once = asyncio.Event()
        # What the broker said when it refused this service at the latest attempt.
        self.refusal = ""

    @property
    def connected(self) -> bool:
        return self._up.is_set()

    async def wait_connected(self) -> None:
        await self._up.wait()

    async def run(self) -> None:
        """Connects and serves, again and again."""
        failures = 0
        while True:
            lost = asyncio.Event()
            try:
                await self._connect(lost)
                failures = 0
                await self._serve(lost)
                log.warning("%s: the connection or a channel of it is gone", self._name)
            except REFUSALS as error:
                self.refusal = str(error)
                log.warning("%s: the broker refuses this service: %s", self._name, error)
            except Exception as error:  # noqa: BLE001  # a connection that dies raises whatever the library has
                self.refusal = ""
                log.warning("%s: the broker is unavailable: %s: %s", self._name, type(error).__name__, error)
            except asyncio.CancelledError:
                # The client library cancels what waits for a connection that it gives up.
                if (task := asyncio.current_task()) is None or task.cancelling():
                    raise
                log.warning("%s: the client library gave the connection up", self._name)
            finally:
                self._mark(up=False)
                await self.close()
            await asyncio.sleep(RECONNECT_SECONDS[min(failures, len(RECONNECT_SECONDS) - 1)])
            failures += 1

    async def close(self) -> None:
        """Closes the connection; a broker that does not answer is not waited for."""
        connection, self._connection = self._connection, None
        if connection is not None:
            closing = asyncio.ensure_future(connection.close())
            closing.add_done_callback(ignore_late)
            await asyncio.wait({closing}, timeout=CLOSE_SECONDS)

    async def _connect(self, lost: asyncio.Event) -> None:
        connection = self._connection = await self._open(str(self._url), self._name)

        def on_lost(*_: object) -> None:
            lost.set()
            # One that takes long to close must not speak of its successor.
            if self._connection is connection:
                self._mark(up=False)

        connection.close_callbacks.add(on_lost)
        await self._set_up(connection, on_lost)
        if not lost.is_set():
            self._mark(up=True)

    def _mark(self, *, up: bool) -> None:
        if up != self.connected:
            self.since = time.monotonic()
        if up:
            self._up.set()
            self.connected_once.set()
            self.refusal = ""
        else:
            self._up.clear()

    @abstractmethod
    async def _set_up(self, connection: AbstractConnection, on_lost: Callable[..., None]) -> None:
        """Opens the channels; `on_lost` is to be called when one of them is gone."""

    async def _serve(self, lost: asyncio.Event) -> None:
        await lost.wait()


async def connect_broker(url: str, name: str) -> AbstractConnection:
    return await aio_pika.connect(
        url, timeout=CONNECT_SECONDS, client_properties={"connection_name": f"sagashop {name}"}
    )


async def open_channel(
    connection: AbstractConnection, on_lost: Callable[..., None], *, confirms: bool
) -> Channel:
    channel = connection.channel(publisher_confirms=confirms, on_return_raises=confirms)
    async with asyncio.timeout(PATIENCE_SECONDS):
        await channel.initialize(timeout=CONNECT_SECONDS)
    # Publishing in batches and multiple acknowledgements are one layer below.
    underlay = cast("Channel", await channel.get_underlay_channel())
    underlay.closing.add_done_callback(on_lost)
    return underlay
