"""Brings in the outbox rows whose lease has ended, whoever wrote them."""

import asyncio
import logging
import random
from datetime import timedelta
from math import inf
from typing import Final

from pymongo.errors import PyMongoError

from services.shared.database.clock import Clock
from services.shared.engine import metrics
from services.shared.engine.leases import Leases
from services.shared.engine.outbox import Outbox, Publisher

SWEEP_SECONDS: Final = 2.0
# A replica whose own events wait so long for their confirms takes over nobody else's ...
BEHIND_SECONDS: Final = 5.0
# ... unless they are so old that nobody else seems to be there.
ABANDONED: Final = timedelta(seconds=60)
CLAIM_AT_ONCE: Final = 200
# Replicas that find one backlog at the same time would all claim its first rows, all but one of them in vain:
# each claims some of so many.
LOOK_AT: Final = 5 * CLAIM_AT_ONCE
# A broker that stood still, or took so long for an answer, ...
PROMPT_SECONDS: Final = 0.5
# ... first has to confirm for so long what its publishers had put on the wire, and they delete it.
AWAKE_SECONDS: Final = 3.0
log = logging.getLogger(__name__)


class Sweep:
    """Claims for `outbox` what nobody publishes."""

    def __init__(self, rows: Leases, publisher: Publisher, outbox: Outbox, clock: Clock) -> None:
        self._rows, self._publisher, self._outbox, self._clock = rows, publisher, outbox, clock
        # When the broker was last found to stand still.
        self._stood_still_at = -inf

    async def run(self) -> None:
        while True:
            try:
                if self._publisher.connected:
                    self._outbox.let_go.clear()
                    await self._sweep()
                rows, age = await self._rows.measure(self._clock.now())
                metrics.OUTBOX_ROWS.set(rows)
                metrics.OUTBOX_AGE.set(age)
            except PyMongoError as error:
                log.warning("the outbox is not swept: %s", error)
            await asyncio.sleep(SWEEP_SECONDS)

    async def wake(self) -> None:
        """Rows that the broker refused are tried again at once: topology was declared anew."""
        try:
            await self._rows.wake(self._clock.now())
        except PyMongoError as error:
            log.warning("rows that rest go on resting: %s", error)

    async def taken_over(self) -> bool:
        """Whether others published what this replica let go of. Raises PyMongoError."""
        let_go = set(self._outbox.let_go)
        return bool(let_go) and await self._rows.gone(let_go)

    async def _sweep(self) -> None:
        while self._outbox.has_room:
            now = self._clock.now()
            if behind := self._outbox.waiting_seconds > BEHIND_SECONDS:
                self._stood_still_at = _now()
            due = await self._rows.due(
                now,
                limit=LOOK_AT,
                but=self._outbox.overdue(now),
                committed_before=now - ABANDONED if behind else now,
            )
            if not due or not await self._answers():
                return
            # Not what its writer is just having confirmed, unless nobody else seems to be there.
            if not behind and _now() - self._stood_still_at < AWAKE_SECONDS:
                return
            some = random.sample(due, min(len(due), CLAIM_AT_ONCE))
            claimed = await self._rows.claim(some, self._clock.now())
            too_many = [row for row in claimed if not self._outbox.enqueue(row)]
            metrics.OUTBOX_CLAIMED.inc(len(claimed) - len(too_many))
            if ours := len(claimed) - len(too_many):  # others may have been quicker
                log.info("publishing %d rows whose lease had ended", ours)
            if too_many:  # nobody would publish them until the claim ends
                await self._rows.give_up(too_many, self._clock.now())
                return
            if len(due) <= CLAIM_AT_ONCE:
                return

    async def _answers(self) -> bool:
        """Whether the broker answers: claimed from one that stands still, a row would go out twice later."""
        asked = _now()
        answers = await self._publisher.answers()
        if not answers or _now() - asked > PROMPT_SECONDS:
            self._stood_still_at = _now()
        return answers


def _now() -> float:
    return asyncio.get_running_loop().time()
