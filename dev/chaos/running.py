"""A shop under orders, hurt round after round, and judged after each from outside."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

from dev.alert_drill.watchers import Pager, watching
from dev.chaos.faults import FAULTS
from dev.chaos.plan import Round
from dev.stripe_double import way as stripe_way
from dev.stripe_double.ledger import DECLINED, VISA
from dev.survive.attempts import Outcome, Till
from dev.survive.looking import look
from dev.survive.running import AFTERWARDS_SECONDS, BROKEN, WARM_UP_SECONDS
from dev.survive.site import COUNTED, PRODUCTS, Equipment, Site, opened
from dev.survive.verdict import Failure, broke_off, judge
from dev.survive.watching import watched
from sagactl.polling import NotInTimeError
from services.shared.contract.events import CORE

ORDERS_PER_SECOND: Final = 20.0
SETTINGS: Final = {
    **COUNTED,
    **{f"REPLICAS_{service}": "2" for service in ("ORDER", "INVENTORY", "PAYMENT")},
    # Where one of them is hurt, the others elect another primary.
    "REPLICAS_MONGODB": "3",
}
MIB: Final = 2**20
EQUIPMENT: Final = Equipment(
    clocks=CORE,
    disks={
        # Far more than a run writes.
        **dict.fromkeys(("mongodb", "mongodb-2", "mongodb-3"), 16 * 1024 * MIB),
        # The more room there is, the less often it looks how much.
        "rabbitmq": 512 * MIB,
    },
)
# An alert of the round before has to end first.
QUIET_WITHIN_SECONDS: Final = 60.0


class Ended(NamedTuple):
    """What came of one round."""

    number: int
    round: Round
    began_at: datetime
    # Of this round's orders.
    attempts: Mapping[Outcome, int]
    # From the fault's end until the last accepted order had settled; None when one never was.
    recovery_seconds: float | None
    # Who was called meanwhile.
    alerts: tuple[str, ...]
    failures: tuple[Failure, ...]
    # Nothing can be said of the shop any more, and the story ends here.
    broke_off: bool = False

    def to_json(self) -> dict[str, Any]:
        return {
            "round": self.number,
            "faults": list(self.round.faults),
            "seconds": self.round.seconds,
            "beganAt": self.began_at.isoformat(),
            "attempts": {outcome: self.attempts.get(outcome, 0) for outcome in Outcome},
            "recoverySeconds": self.recovery_seconds,
            "alerts": list(self.alerts),
            "failures": [failure.to_json() for failure in self.failures],
        }


class Shop(NamedTuple):
    """What is hurt, and who looks on."""

    site: Site
    pager: Pager

    async def endure(self, number: int, plan: Round) -> Ended:
        """One round to its end. The next may begin when it returns, unless it broke off."""
        began_at = datetime.now(UTC)
        try:
            return await self._endure(number, plan, began_at)
        except* BROKEN as errors:
            failures = tuple(map(broke_off, _leaves(errors)))
        return Ended(number, plan, began_at, {}, None, (), failures, broke_off=True)

    async def _endure(self, number: int, plan: Round, began_at: datetime) -> Ended:
        site = self.site
        await site.log_in()
        attempts, rung = len(site.traffic.attempts), len(self.pager.rung)
        async with watched(site), site.traffic.flowing(site.rate):
            await asyncio.sleep(WARM_UP_SECONDS)
            async with AsyncExitStack() as hurt:
                for name in plan.faults:
                    await hurt.enter_async_context(FAULTS[name].during(site))
                await asyncio.sleep(plan.seconds)
            fault_ended_at = datetime.now(UTC)
            await asyncio.sleep(AFTERWARDS_SECONDS)
        evidence = await look(site, fault_ended_at, attempts)
        verdict = judge(evidence)
        for name in evidence.ended:  # the next round has a whole shop, too
            await site.stack.start(name)
        alerts = tuple(dict.fromkeys(self.pager.rung[rung:]))
        failures = (*verdict.failures, *_not_told(plan, alerts), *await self._still_rings(plan))
        site.remarks.clear()
        return Ended(number, plan, began_at, verdict.outcomes, verdict.recovery_seconds, alerts, failures)

    async def _still_rings(self, plan: Round) -> list[Failure]:
        """Whoever was called for the fault is told that it is over."""
        try:
            await self.pager.is_silent(
                {FAULTS[name].alert for name in plan.faults}, within=QUIET_WITHIN_SECONDS
            )
        except NotInTimeError as late:
            return [Failure(str(late))]
        return []


def _leaves(errors: ExceptionGroup[Exception]) -> Iterator[Exception]:
    for each in errors.exceptions:
        if isinstance(each, ExceptionGroup):
            yield from _leaves(each)
        else:
            yield each


def _not_told(plan: Round, alerts: tuple[str, ...]) -> list[Failure]:
    """Of a fault that is alone: whoever has to be called was."""
    expected = {FAULTS[name].alert for name in plan.faults} if len(plan.faults) == 1 else set()
    return [Failure(f"the alert {each} did not fire") for each in expected - {"", *alerts}]


@asynccontextmanager
async def opened_shop(directory: Path, seed: int, say: Callable[[str], None]) -> AsyncIterator[Shop]:
    """Raises NotThereError without Prometheus' programs or libfaketime, and what the stack raises."""
    async with AsyncExitStack() as closing:
        way = await closing.enter_async_context(stripe_way.opened())
        # The checks of this process read the provider's books as those of production do: told by settings.
        closing.enter_context(_settings(way.books))
        site = await closing.enter_async_context(
            opened(
                directory,
                {**SETTINGS, **way.settings},
                products=PRODUCTS,
                rate=ORDERS_PER_SECOND,
                seed=f"chaos {seed}",
                short=False,
                say=say,
                till=Till(VISA, DECLINED, stripe_way.PRICE),
                equipment=EQUIPMENT,
            )
        )
        site.proxies[stripe_way.PAYMENT_GATEWAY] = way.proxy
        await site.all_by_proxy("mongodb", "rabbitmq", "redis")
        yield Shop(site, await closing.enter_async_context(watching(site.stack, directory / "watchers")))


@contextmanager
def _settings(settings: Mapping[str, str]) -> Iterator[None]:
    former = dict(os.environ)
    os.environ.update(settings)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(former)
