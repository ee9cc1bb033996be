"""The connection that consumes: a service's queues, declared again now and then."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from aio_pika.abc import AbstractConnection
from aiormq import Channel

from services.shared.contract.decisions import Decision, Message
from services.shared.contract.events import Event
from services.shared.database.clock import Clock
from services.shared.engine import declaring
from services.shared.engine.availability import Availability
from services.shared.engine.deliveries import Consumer, Copier
from services.shared.engine.links import Connect, Link, open_channel
from services.shared.engine.writing import PATIENCE_SECONDS, until_closed
from services.shared.waiting import happens

REDECLARE_SECONDS: Final = 30.0
LOOK_SECONDS: Final = 5.0
# Deliveries that cannot be handled here go back to the broker. Once per outage: it counts their returns.
WITHOUT_DATABASE_SECONDS: Final = 20.0
DRAIN_SECONDS: Final = 10.0
# Work that waits, and of which nothing has moved for so long, is not done here any more.
STUCK_SECONDS: Final = 60.0
log = logging.getLogger(__name__)

Submit = Callable[[Message], "asyncio.Future[Decision]"]


class Consuming(Link):
    """Consumes the service's queues, and declares them again now and then."""

    def __init__(
        self,
        url: str,
        service: str,
        clock: Clock,
        *,
        subscriptions: Mapping[str, Iterable[type[Event]]],
        submit: Mapping[str, Submit],
        copier: Copier,
        prefetch: int,
        availability: Availability,
        connect: Connect,
    ) -> None:
        super().__init__(url, f"{service}, consuming", connect)
        self._availability = availability
        self._service, self._clock, self._copier = service, clock, copier
        self._subscriptions, self._submit, self._prefetch = subscriptions, submit, prefetch
        self._declaring: Channel | None = None
        self._consumers: dict[str, Consumer] = {}
        # Queues of which messages wait that are not delivered: at the last look, and at that before it, too.
        self._waiting: set[str] = set()
        self._untouched: set[str] = set()
        self._draining = False

    async def _set_up(self, connection: AbstractConnection, on_lost: Callable[..., None]) -> None:
        self._consumers, self._waiting, self._untouched = {}, set(), set()
        self._declaring = await open_channel(connection, on_lost, confirms=False)
        await self._declare()
        for queue in self._subscriptions:
            channel = await open_channel(connection, on_lost, confirms=False)
            # A consumer without a queue is no consumer.
            channel.on_consumer_cancel_callbacks.add(on_lost)
            consumer = Consumer(
                self._service,
                queue,
                channel,
                self._submit[queue],
                self._copier,
                self._clock,
                prefetch=self._prefetch,
            )
            self._consumers[queue] = consumer
            await consumer.start()

    async def _serve(self, lost: asyncio.Event) -> None:
        log.info("connected, consuming %s", ", ".join(self._subscriptions))
        declared = time.monotonic()
        while not lost.is_set():
            await happens(lost, LOOK_SECONDS)
            if self._availability.lost_for > WITHOUT_DATABASE_SECONDS:
                log.warning("without the database nothing is consumed here: the broker has others, perhaps")
                return
            due = time.monotonic() - declared > REDECLARE_SECONDS
            if due and not lost.is_set() and not self._draining:
                # One binding of two may have been deleted: publishing does not notice.
                counts = await self._declare()
                standing = {queue for queue, count in counts.items() if self._stands(queue, count)}
                self._waiting, self._untouched = standing, standing & self._waiting
                declared = time.monotonic()

    async def _connect(self, lost: asyncio.Event) -> None:
        if self._draining:
            await asyncio.Event().wait()  # until all parts are stopped
        await self._availability.wait()
        await super()._connect(lost)

    async def _declare(self) -> dict[str, int]:
        channel = self._declaring
        assert channel is not None  # noqa: S101  # it is opened first
        return await until_closed(
            channel, declaring.declare(channel, self._service, self._subscriptions), 2 * PATIENCE_SECONDS
        )

    def _stands(self, queue: str, waiting: int) -> bool:
        consumer = self._consumers.get(queue)
        if consumer is None or not (waiting > 0 or consumer.has_work):
            return False
        return time.monotonic() - consumer.progressed > STUCK_SECONDS

    @property
    def stuck(self) -> set[str]:
        """Queues whose messages wait, and have done so for a minute, though the connection is good."""
        held = {queue for queue in self._consumers if self._stands(queue, 0)}
        return held | self._untouched if self.connected else set()

    async def drain(self) -> None:
        """Takes no more deliveries; those at hand are finished."""
        self._draining = True
        consumers, self._consumers = self._consumers, {}
        stops = [consumer.stop(DRAIN_SECONDS) for consumer in consumers.values()]
        for result in await asyncio.gather(*stops, return_exceptions=True):
            if isinstance(result, BaseException):
                log.warning("while draining: %r", result)
