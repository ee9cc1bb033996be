"""Transactional outbox: events are committed with what caused them, then published, then deleted.

The collection is the truth. The replica that wrote a row publishes it from memory, and deletes it after that
(`clearing.py`); what it has not published when its lease ends (`leases.py`), any replica claims (`sweep.py`)
and publishes likewise.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Protocol

from bson import ObjectId
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import PyMongoError

from services.shared import telemetry
from services.shared.contract.decisions import Decision
from services.shared.database.clock import Clock
from services.shared.engine import leases, metrics
from services.shared.engine.batch import Undecided
from services.shared.engine.clearing import Clearing
from services.shared.engine.confirms import Outcome, Sent
from services.shared.engine.leases import Leases
from services.shared.engine.rows import OutboxEvent, Row, events_of

# How many events may be in memory; what is over stays for the sweep.
MEMORY_EVENTS: Final = 20_000
PUBLISH_AT_ONCE: Final = 500
LET_GO_REMEMBERED: Final = 20
log = logging.getLogger(__name__)


class Publisher(Protocol):
    @property
    def connected(self) -> bool:
        """Whether what is sent now goes out."""
        ...

    async def wait_connected(self) -> None: ...

    async def answers(self) -> bool:
        """Whether the broker does not stand still."""
        ...

    async def send(self, events: Sequence[OutboxEvent], sent: Sent[OutboxEvent]) -> None:
        """Puts events on the wire; `sent` is called once with what became of each."""
        ...


@dataclass(slots=True, eq=False)
class Sending:
    """A row on its way."""

    row: Row
    since: float
    # Not confirmed yet.
    open: dict[str, OutboxEvent]
    confirmed: list[OutboxEvent] = field(default_factory=list)
    on_wire: int = 0
    refused: bool = False


def row_of(decided: Iterable[tuple[Undecided, Decision]], now: datetime) -> Row | None:
    """The outbox row of a batch; None where it publishes nothing."""
    events = tuple(
        event for undecided, decision in decided for event in events_of(undecided.message, decision)
    )
    return Row(ObjectId(), events, now, leases.lease_of_writer(now)) if events else None


class Outbox:
    """What one replica publishes from memory: the rows that it wrote, and those that it claimed."""

    def __init__(self, rows: Leases, publisher: Publisher, clock: Clock) -> None:
        self._rows, self._publisher, self._clock = rows, publisher, clock
        self.clearing = Clearing(rows, clock, on_deleted=self._forget)
        self._queue: deque[Sending] = deque()
        self._came = asyncio.Event()
        self._in_memory: dict[ObjectId, Sending] = {}
        self._events_in_memory = 0
        # An event is on the wire once: a row that brings it again waits for the same confirm.
        self._on_wire: dict[str, list[Sending]] = {}
        # The latest rows that were left to others while this replica was cut off from the broker: they show
        # whether there are others who are not.
        self.let_go: deque[ObjectId] = deque(maxlen=LET_GO_REMEMBERED)

    # --- written ----------------------------------------------------------------------------------------

    async def insert(self, row: Row, session: AsyncClientSession) -> None:
        await self._rows.insert(row, session)

    def enqueue(self, row: Row) -> bool:
        """To be published from memory, now that it is committed. Whether there is room for it."""
        if row.id in self._in_memory:
            return True
        if self._events_in_memory + len(row.events) > MEMORY_EVENTS:
            return False
        sending = Sending(row, _now(), {event.id: event for event in row.events})
        self._in_memory[row.id] = sending
        self._events_in_memory += len(row.events)
        self._queue.append(sending)
        self._came.set()
        return True

    async def adopt(self, row: Row) -> None:
        """Publishes a row whose commit ended without an answer, if it took place."""
        try:
            if await self._rows.exists(row):
                self.enqueue(row)
        except PyMongoError as error:
            log.debug("a row in doubt is left to the sweep: %s", error)

    # --- in memory --------------------------------------------------------------------------------------

    @property
    def has_room(self) -> bool:
        return self._events_in_memory < MEMORY_EVENTS

    def overdue(self, now: datetime) -> list[ObjectId]:
        """Rows in memory whose lease has ended: what is left of them is on the wire, or to be deleted."""
        return [each.row.id for each in self._in_memory.values() if leases.is_due(each.row.due, now)]

    @property
    def waiting_seconds(self) -> float:
        """How long the oldest event in memory has waited for its confirm."""
        oldest = next(iter(self._in_memory.values()), None)
        return 0.0 if oldest is None else _now() - oldest.since

    # --- published --------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Publishes what was enqueued; confirms come in beside it."""
        while True:
            # What is lost at once comes back at once: others have to have their turn.
            await asyncio.sleep(0)
            while not self._queue:
                self._came.clear()
                await self._came.wait()
            if not self._publisher.connected:
                self._queue = deque(sending for sending in self._queue if self._keeps(sending))
                with suppress(TimeoutError):  # meanwhile leases come to their end
                    async with asyncio.timeout(1.0):
                        await self._publisher.wait_connected()
                continue
            events = self._take()
            if events:
                await self._publisher.send(events, self._on_sent)

    def _take(self) -> list[OutboxEvent]:
        """The next events that are not on the wire yet."""
        events: list[OutboxEvent] = []
        while self._queue and len(events) < PUBLISH_AT_ONCE:
            sending = self._queue.popleft()
            if not self._keeps(sending):
                continue
            for event in sending.open.values():
                waiting = self._on_wire.setdefault(event.id, [])
                if not waiting:
                    events.append(event)
                waiting.append(sending)
                sending.on_wire += 1
            if not sending.open:
                self._settle(sending)
        return events

    def _keeps(self, sending: Sending) -> bool:
        """Whether there is time left to publish it; if not, it is left to others."""
        if not leases.lets_go(sending.row.due, self._clock.now()):
            return True
        self.let_go.append(sending.row.id)
        self._leave(sending)
        return False

    def _on_sent(self, event: OutboxEvent, outcome: Outcome) -> None:
        if outcome is Outcome.CONFIRMED:
            metrics.published(event.type).inc()
        else:
            metrics.PUBLISH_FAILURES.labels(event.type, outcome).inc()
        if outcome.is_refusal:
            log.error(
                "%s stays in the outbox: %s",
                event.type,
                outcome,
                extra={
                    "correlation_id": event.subject,
                    "event_id": event.id,
                    "trace_id": telemetry.trace_id(event.traceparent),
                    "request_id": telemetry.request_of(event.tracestate),
                },
            )
        for sending in self._on_wire.pop(event.id, ()):
            sending.on_wire -= 1
            if outcome is Outcome.CONFIRMED and sending.open.pop(event.id, None) is not None:
                sending.confirmed.append(event)
            sending.refused |= outcome.is_refusal
            if not sending.on_wire:
                self._settle(sending)

    def _settle(self, sending: Sending) -> None:
        """Nothing of it is on the wire any more."""
        if not sending.open:
            self.clearing.delete(sending.row.id)
        elif sending.refused:
            self._leave(sending)
        elif self._keeps(sending):
            self._queue.append(sending)
            self._came.set()

    def _leave(self, sending: Sending) -> None:
        """Not this replica's any more, but for what is to be written down about it."""
        self._forget(sending.row.id)
        if sending.confirmed or sending.refused:
            self.clearing.shorten(sending.row, sending.confirmed, refused=sending.refused)

    def _forget(self, id_: ObjectId) -> None:
        if (sending := self._in_memory.pop(id_, None)) is not None:
            self._events_in_memory -= len(sending.row.events)

    # --- at the end -------------------------------------------------------------------------------------

    async def drain(self) -> None:
        """Waits until what is in memory has been published and deleted, or left to others."""
        while self._in_memory or self.clearing.has_left:
            await asyncio.sleep(0.01)

    async def retire(self) -> None:
        """Others may publish at once what this replica did not. Raises PyMongoError."""
        published = self.clearing.published
        left = [sending.row for sending in self._in_memory.values() if sending.row.id not in published]
        if left:
            await self._rows.give_up(left, self._clock.now())
        await self.clearing.finish()


def _now() -> float:
    return asyncio.get_running_loop().time()
