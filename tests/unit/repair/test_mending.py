"""Shops that lost messages are mended by their plans: what a plan says is what comes of it, once or twice.

The engine itself runs here, with all rules, on servers in memory (`dev/simulate`).
"""

from collections import Counter
from collections.abc import Mapping
from typing import Final

import pytest
from pamqp.commands import Basic

from dev.simulate.broker import Stored
from dev.simulate.shop import Shop
from sagactl.oncall.explain.explanation import Explanation, Verdict
from sagactl.oncall.explain.marks import CONSUMER
from sagactl.oncall.invariants import Held, check_stock, tally
from sagactl.oncall.repair.plan import Compensate, Ends, Plan, Redrive, SendAgain
from sagactl.oncall.repair.planning import plan
from services.inventory.reservation import Reservation
from services.inventory.stock import Stock
from services.order.commands import TimeOut
from services.order.model import Order, Status
from services.shared.contract import topology
from tests.unit.explain.losing import Losing, Loss, Snapshot, run
from tests.unit.explain.test_losing import ORDERS, one_for_each_order


def plans(shop: Shop, loss: Losing) -> list[Plan]:
    held, snapshot = Held(Counter(), Counter()), Snapshot(shop, loss)
    tally(shop.judge.all("inventory", Reservation), held)
    return [plan(snapshot.marks(order.id), held) for order in shop.judge.all("order", Order)]


async def carry_out(shop: Shop, found: Plan, attempt: int) -> None:
    for step in found.steps:
        match step:
            case SendAgain():
                properties = Basic.Properties(
                    message_id=step.id, correlation_id=found.order, message_type=step.type, headers={}
                )
                exchange = topology.retry_exchange(CONSUMER[step.queue])
                shop.broker.publish(exchange, step.queue, Stored(properties, step.body.encode()))
            case Redrive():
                for queue, letter in shop.broker.dead_letters():
                    if (queue.name, letter.id) == (topology.dead_letter_queue(step.queue), step.id):
                        shop._redrive(queue, letter)  # noqa: SLF001  # as its operator does
            case Compensate():
                command = TimeOut(
                    order_id=found.order,
                    status=Status(step.status),
                    older_than=step.older_than,
                    reason="SAGA_TIMEOUT",
                )
                await shop._ask(command, f"repair-{attempt}-{found.order}")  # noqa: SLF001  # see above


def test_what_was_discarded_is_never_sent_again_by_a_plan() -> None:
    """Books that do not agree without it are left to people, by name, unless a command mends them."""
    losing = Losing(Loss.DISCARDED, one_for_each_order)
    made: list[Plan] = []

    async def mend(shop: Shop, loss: Losing) -> None:
        made.extend(plans(shop, loss))
        for each in made:
            await carry_out(shop, each, 0)

    def look(shop: Shop, explained: Mapping[str, Explanation], *, at_the_end: bool) -> None:
        if not at_the_end or not made:
            return
        assert not [told for told in explained.values() if told.missing]
        again = {each.order: each.ends for each in plans(shop, losing)}
        for each in made:
            expected = Ends.SOUND if each.ends is Ends.MENDED else each.ends
            assert again[each.order] is expected, each

    run("discarded", ORDERS, losing, look, meanwhile=False, mended=mend)
    assert {type(step) for each in made for step in each.steps} <= {Compensate}
    by_hand = [each for each in made if each.ends is Ends.BY_HAND]
    assert by_hand
    for each in by_hand:
        assert "see sagactl letters restore" in each.says
        assert each.left
        assert all("was discarded" not in name or "letters restore" in name for name in each.left)
    assert {each.ends for each in made} == {Ends.SOUND, Ends.MENDED, Ends.BY_HAND}


LOSSES: Final = (Loss.DROPPED, Loss.DEAD_LETTERED)


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("loss", LOSSES)
def test_every_order_that_lost_a_message_is_mended_by_its_plan(loss: Loss, times: int) -> None:
    losing = Losing(loss, one_for_each_order)
    made: list[Plan] = []
    ended: Counter[Verdict] = Counter()

    async def mend(shop: Shop, loss: Losing) -> None:
        made.extend(plans(shop, loss))
        for attempt in range(times):
            for each in made:
                await carry_out(shop, each, attempt)

    def look(shop: Shop, explained: Mapping[str, Explanation], *, at_the_end: bool) -> None:
        if not at_the_end or not made:
            return
        ended.update(told.verdict for told in explained.values())
        again = plans(shop, losing)
        assert [each for each in again if each.ends is not Ends.SOUND] == []
        held = Held(Counter(), Counter())
        tally(shop.judge.all("inventory", Reservation), held)
        assert not [each for stock in shop.judge.all("inventory", Stock) for each in check_stock(stock, held)]
        snapshot = Snapshot(shop, losing)
        assert not [wrong for id_ in explained for wrong in snapshot.marks(id_).wrong]

    run(f"mended.{loss}", ORDERS, losing, look, meanwhile=False, mended=mend)
    assert set(ended) == {Verdict.SETTLED}
    mended = [each for each in made if each.ends is Ends.MENDED]
    assert {each.ends for each in made} == {Ends.SOUND, Ends.MENDED}
    kinds = {type(step) for each in mended for step in each.steps}
    # A lost charge has lost its card; whether any of these orders lost one is left to chance.
    assert kinds - {Compensate} == ({SendAgain} if loss is Loss.DROPPED else {Redrive})
    assert loss is Loss.DROPPED or Compensate not in kinds
    # Messages of one kind were lost of each, and what they caused never was: refunds of parts have several.
    several = [each for each in mended if len(each.steps) > 1]
    assert len(several) < len(mended) / 2
    assert all(
        len({step.type for step in each.steps if not isinstance(step, Compensate)}) == 1 for each in several
    )
