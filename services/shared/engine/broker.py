"""The connection to RabbitMQ: publishing with confirms, consuming, and coming back after it went away.

Each connection is a generation of its own: channels, delivery tags and outstanding confirms die with it.
What was not confirmed stays in the outbox, what was not acknowledged is delivered again.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, Final, cast

import aio_pika
from aiormq import Channel
from aiormq.exceptions import AMQPError, DeliveryError
from pamqp.commands import Basic

from services.shared import telemetry
from services.shared.contract import topology
from services.shared.contract.decisions import Decision, Message
from services.shared.contract.events import EXCHANGE, SCHEMA_VERSION, Event
from services.shared.database.clock import Clock
from services.shared.engine.confirms import Outgoing, publish_all
from services.shared.engine.deliveries import TRACEPARENT, Consumer
from services.shared.engine.outbox import Entry

CONNECT_TIMEOUT: Final = 10.0
RECONNECT_SECONDS: Final = (0.2, 0.5, 1.0, 2.0, 3.0)
REDECLARE_SECONDS: Final = 30.0
DRAIN_SECONDS: Final = 15.0
GONE: Final = (AMQPError, OSError, TimeoutError, asyncio.CancelledError, RuntimeError)
log = logging.getLogger(__name__)

Submit = Callable[[Message], "asyncio.Future[Decision]"]


class Broker:
    """Keeps a service connected. `publish` and `copy` wait while it is not."""

    def __init__(  # an engine has parts
        self,
        url: str,
        service: str,
        clock: Clock,
        *,
        subscriptions: Mapping[str, Iterable[type[Event]]],
        prefetch: int,
    ) -> None:
        self._url, self._service, self._clock = url, service, clock
        self._subscriptions, self._prefetch = subscriptions, prefetch
        self._submit: Mapping[str, Submit] = {}
        self._publishing: Channel | None = None
        self._connected = asyncio.Event()
        self._consumers: list[Consumer] = []
        self._connection: aio_pika.abc.AbstractConnection | None = None
        self.consumed_once = asyncio.Event()

    @property
    def connected(self) -> bool:
        return self._connected.is_set()

    async def run(self, submit: Mapping[str, Submit]) -> None:
        """Connects, consumes each queue into its `submit`, and again whenever the connection is lost."""
        self._submit = submit
        failures = 0
        while True:
            try:
                await self._serve_one_connection()
                failures = 0
            except (AMQPError, OSError, TimeoutError, RuntimeError) as error:
                log.warning("the broker is away: %s: %s", type(error).__name__, error)
            if self.consumed_once.is_set() and self._connected.is_set():
                failures = 0
            self._disconnected()
            await asyncio.sleep(RECONNECT_SECONDS[min(failures, len(RECONNECT_SECONDS) - 1)])
            failures += 1

    async def drain(self) -> None:
        """Takes no more deliveries; those at hand are finished."""
        stops = [consumer.stop(DRAIN_SECONDS) for consumer in self._consumers]
        for result in await asyncio.gather(*stops, return_exceptions=True):
            if isinstance(result, BaseException):
                log.warning("while draining: %r", result)
        self._consumers = []

    async def close(self) -> None:
        if self._connection is not None:
            await self._connection.close()

    # --- one connection ---------------------------------------------------------------------------------

    async def _serve_one_connection(self) -> None:
        connection = await aio_pika.connect(
            self._url,
            timeout=CONNECT_TIMEOUT,
            client_properties={"connection_name": f"sagashop {self._service}"},
        )
        async with connection:
            self._connection = connection
            lost = asyncio.Event()

            def on_lost(*_: object) -> None:
                lost.set()

            connection.close_callbacks.add(on_lost)
            declaring = await self._channel(connection, confirms=False)
            await topology.declare(declaring, self._service, self._subscriptions)
            self._publishing = await self._channel(connection, confirms=True)
            self._connected.set()
            for queue in self._subscriptions:
                channel = await self._channel(connection, confirms=False)
                # A consumer without a queue, or a channel that the broker closed, is no consumer.
                channel.on_consumer_cancel_callbacks.add(on_lost)
                channel.closing.add_done_callback(on_lost)
                consumer = Consumer(self._service, queue, channel, self._submit[queue], self, self._clock)
                await consumer.start(self._prefetch)
                self._consumers.append(consumer)
            self._publishing.closing.add_done_callback(on_lost)
            telemetry.BROKER_UP.set(1)
            self.consumed_once.set()
            log.info("connected, consuming %s", ", ".join(self._subscriptions) or "nothing")
            while not lost.is_set():
                with suppress(TimeoutError):
                    await asyncio.wait_for(lost.wait(), REDECLARE_SECONDS)
                if not lost.is_set():
                    # One binding of two may have been deleted: publishing does not notice.
                    await topology.declare(declaring, self._service, self._subscriptions)
            log.warning("the connection or a channel of it is gone")

    async def _channel(self, connection: aio_pika.abc.AbstractConnection, *, confirms: bool) -> Channel:
        channel = connection.channel(publisher_confirms=confirms, on_return_raises=confirms)
        await channel.initialize(timeout=CONNECT_TIMEOUT)
        # Batches of publishes and multiple acknowledgements are to be had one layer below.
        return cast("Channel", await channel.get_underlay_channel())

    def _disconnected(self) -> None:
        self._connected.clear()
        self._publishing = None
        self._consumers = []
        telemetry.BROKER_UP.set(0)

    # --- publishing -------------------------------------------------------------------------------------

    async def publish(self, entries: Sequence[Entry]) -> list[Entry]:
        """Publishes all at once and returns those that were confirmed and had a queue to go to."""
        channel = await self._ready()
        now = self._clock.now()
        outgoing = (Outgoing(e.type, e.body.encode(), _properties(e, now)) for e in entries)
        results = await publish_all(channel, EXCHANGE, outgoing, topology.PATIENCE)
        confirmed: list[Entry] = []
        lost: BaseException | None = None
        for entry, result in zip(entries, results, strict=True):
            if result is None:
                telemetry.PUBLISHED.labels(entry.type).inc()
                confirmed.append(entry)
            elif isinstance(result, DeliveryError):
                telemetry.PUBLISH_FAILURES.labels(entry.type, "no queue").inc()
                log.error(
                    "%s has no queue to go to and stays in the outbox: is its consumer's binding there?",
                    entry.type,
                    extra={"correlation_id": entry.subject, "event_id": entry.id},
                )
            else:
                telemetry.PUBLISH_FAILURES.labels(entry.type, "connection lost").inc()
                lost = result
        if lost is not None and not confirmed:
            raise ConnectionError(f"{type(lost).__name__}: {lost}") from lost
        return confirmed

    async def copy(self, exchange: str, key: str, body: bytes, properties: Basic.Properties) -> None:
        channel = await self._ready()
        try:
            await self._send(channel, exchange, key, body, properties)
        except DeliveryError as error:
            raise ConnectionError(f"{key} does not take it: {error}") from error
        except GONE as error:
            raise ConnectionError(str(error)) from error

    async def _ready(self) -> Channel:
        while self._publishing is None or self._publishing.is_closed:
            await self._connected.wait()
            if self._publishing is None or self._publishing.is_closed:
                await asyncio.sleep(RECONNECT_SECONDS[0])
        return self._publishing

    async def _send(
        self, channel: Channel, exchange: str, key: str, body: bytes, properties: Basic.Properties
    ) -> None:
        await channel.basic_publish(
            body,
            exchange=exchange,
            routing_key=key,
            properties=properties,
            mandatory=True,
            timeout=topology.PATIENCE,
            wait=False,
        )


def _properties(entry: Entry, now: datetime) -> Basic.Properties:
    headers: dict[str, Any] = {"x-schema-version": SCHEMA_VERSION}
    if entry.traceparent:
        headers[TRACEPARENT] = entry.traceparent
    return Basic.Properties(
        content_type="application/json",
        delivery_mode=2,
        message_id=entry.id,
        correlation_id=entry.subject,
        message_type=entry.type,
        timestamp=now,
        headers=headers,
    )
