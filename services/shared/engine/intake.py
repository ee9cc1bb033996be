"""What waits to be decided: deliveries and commands, and which of them share the next batch."""

import asyncio
import random
from collections import deque
from functools import partial
from typing import Final

from services.shared import telemetry
from services.shared.contract.audit import By
from services.shared.contract.decisions import Decision, Domain, Message, Unavailable
from services.shared.contract.identity import HTTP
from services.shared.database.clock import Clock
from services.shared.engine import metrics
from services.shared.engine.batch import Undecided, digest
from services.shared.engine.batching import Batching, Pace

# A caller at the other end of an HTTP request is told to come back rather than kept waiting longer.
COMMAND_PATIENCE_SECONDS: Final = 8.0


class Intake:
    """Two queues, deliveries before commands."""

    def __init__(self, domain: Domain, clock: Clock, batching: Batching, *, commands_at_most: int) -> None:
        self._domain, self._clock = domain, clock
        self._max_batch, self._commands_at_most = batching.max_batch, commands_at_most
        self._pace = Pace(batching)
        self._deliveries: deque[Undecided] = deque()
        self._commands: deque[Undecided] = deque()
        self._came = asyncio.Event()
        for kind, queue in (("deliveries", self._deliveries), ("commands", self._commands)):
            metrics.WAITING.labels(kind).set_function(partial(len, queue))

    def submit(self, message: Message) -> "asyncio.Future[Decision]":
        """The decision on a delivered message, once committed; what the decision raises otherwise."""
        return self._enqueue(self._deliveries, message, is_command=False).future

    async def execute(self, command: object, *, id_: str, by: By | None = None) -> Decision:
        """The decision on a command over HTTP, once committed. Raises what it raises, or Unavailable.

        A command that was answered Unavailable is not carried out later, unless that says `unknown`.
        """
        if len(self._commands) >= self._commands_at_most:
            metrics.COMMANDS_REFUSED.inc()
            raise Unavailable("too many requests are waiting")
        message = Message(
            id=id_,
            source=HTTP,
            body=command,
            at=self._clock.now(),
            traceparent=telemetry.current_traceparent(),
            tracestate=telemetry.current_tracestate(),
            by=by,
        )
        undecided = self._enqueue(self._commands, message, is_command=True)
        patience = asyncio.get_running_loop().call_later(COMMAND_PATIENCE_SECONDS, undecided.let_go)
        try:
            return await undecided.future
        finally:
            patience.cancel()

    @property
    def is_empty(self) -> bool:
        return not self._deliveries and not self._commands

    async def wait(self) -> None:
        """Until there is something to decide."""
        while self.is_empty:
            self._came.clear()
            await self._came.wait()

    async def next_batch(self) -> list[Undecided]:
        """What is decided together next, after a while in which others may join it."""
        await self._pace.linger(len(self._deliveries) + len(self._commands))
        batch = self._take()
        self._pace.took(len(batch))
        return batch

    def _take(self) -> list[Undecided]:
        """Deliveries first: new orders must not overtake those under way. While deliveries have to wait,
        commands get a quarter of the batch.
        """
        most = self._max_batch
        # Where a batch holds one, the quarter is every fourth batch.
        quarter = most // 4 or int(random.random() < 1 / 4)  # noqa: S311  # fairness, no secret
        for_commands = min(len(self._commands), quarter)
        deliveries = min(len(self._deliveries), most - for_commands)
        batch = [self._deliveries.popleft() for _ in range(deliveries)]
        batch += [self._commands.popleft() for _ in range(min(len(self._commands), most - deliveries))]
        return batch

    def _enqueue(self, queue: deque[Undecided], message: Message, *, is_command: bool) -> Undecided:
        future: asyncio.Future[Decision] = asyncio.get_running_loop().create_future()
        undecided = Undecided(message, self._domain.home(message), digest(message), future, is_command)
        queue.append(undecided)
        self._came.set()
        return undecided
