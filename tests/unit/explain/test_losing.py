"""What is lost on purpose is named, by its id and queue; where nothing is lost, nothing is called missing.

The engine itself runs here, with all rules, on servers in memory (`dev/simulate`): marks are what it left.
"""

from collections.abc import Mapping
from typing import Final

import pytest

from dev.simulate.shop import Shop
from sagactl.oncall.explain.explaining import ALWAYS_MISSED
from sagactl.oncall.explain.explanation import UNDER_WAY, Explanation, Hop, HopState, Outcome, Verdict
from sagactl.oncall.explain.marks import READ
from sagactl.oncall.explain.screen import WIDTH, lines
from services.order.histories import COMMANDS
from services.order.model import Order
from services.shared.contract.events import (
    AUTO_COMPENSATION,
    CONSUMES,
    INVENTORY_EVENTS,
    PUBLISHES,
    OrderEvent,
    RequestShipment,
)
from services.shared.contract.identity import event_id
from tests.unit.explain.losing import NOTHING, Losing, Loss, Snapshot, emitted, redrive, run

# Every way that a message about an order takes to those whose books are read: (queue, type).
ROUTES: Final = sorted(
    (queue, event.type)
    for service in READ
    for queue, kinds in CONSUMES[service].items()
    for event in kinds
    if issubclass(event, OrderEvent)
)
# Each route is lost by three at least.
ORDERS: Final = max(60, 3 * len(ROUTES) + 1)
# Where a lost hop is in the end. Nobody misses what would have had no effect.
IN_THE_END: Final = {
    Loss.DROPPED: {HopState.MISSING, HopState.WITHOUT_EFFECT},
    Loss.DEAD_LETTERED: {HopState.DEAD_LETTER},
    Loss.DISCARDED: {HopState.DISCARDED},
    Loss.LEFT_IN_THE_OUTBOX: {HopState.IN_OUTBOX},
}
ARRIVED: Final = {HopState.DONE, HopState.WITHOUT_EFFECT}


def one_for_each_order(queue: str, type_: str, order_id: str) -> bool:
    """The first order loses all that takes the first route, the second what takes the second, and so on."""
    number = int(order_id.removeprefix("order-").partition(".")[0])
    return ROUTES[number % len(ROUTES)] == (queue, type_)


def published(told: Explanation) -> set[str]:
    """The ids of the events that follow from the books. What others say is known only where it is seen."""
    known = {hop.id for hop in told.hops if hop.publisher in READ}
    strange = {hop.type for hop in told.hops if hop.id not in known}
    assert strange.isdisjoint(event.type for service in READ for event in PUBLISHES.get(service, ()))
    return known


SHOPS: Final = [pytest.param(0, True, id="calm"), pytest.param(1, False, id="with faults")]


@pytest.mark.parametrize(("seed", "calm"), [*SHOPS, pytest.param(2, False, id="with other faults")])
def test_where_nothing_is_lost_nothing_is_called_missing(seed: int, *, calm: bool) -> None:
    """And the chain is what was published, to the last id, at every time."""
    looks = 0

    def look(shop: Shop, explained: Mapping[str, Explanation], *, at_the_end: bool) -> None:
        nonlocal looks
        events = emitted(shop)
        for id_, told in explained.items():
            looks += 1
            assert not told.missing, told
            assert published(told) == events[id_]
            assert told.verdict in {Verdict.SETTLED, Verdict.MOVING, Verdict.WAITING}, told
            assert not at_the_end or told.verdict is Verdict.SETTLED, told
            assert (told.next == ()) or told.verdict is not Verdict.SETTLED, told

    run(f"explain.{seed}", ORDERS, Losing(NOTHING, one_for_each_order), look, calm=calm)
    assert looks > ORDERS


@pytest.mark.parametrize("loss", IN_THE_END)
def test_what_is_lost_is_named_and_nothing_else_is(loss: Loss) -> None:
    lost_in_a_shop(loss, 1, calm=False)


@pytest.mark.parametrize("loss", [Loss.DROPPED, Loss.DEAD_LETTERED])
def test_so_it_is_where_nothing_else_goes_wrong(loss: Loss) -> None:
    lost_in_a_shop(loss, 0, calm=True)


def lost_in_a_shop(loss: Loss, seed: int, *, calm: bool) -> None:
    losing = Losing(loss, one_for_each_order)
    named, verdicts = set[HopState](), set[Verdict]()

    def look(shop: Shop, explained: Mapping[str, Explanation], *, at_the_end: bool) -> None:
        events = emitted(shop)
        for id_, told in explained.items():
            lost = losing.lost.get(id_, set())
            assert set(told.missing) <= lost, told
            assert published(told) == events[id_]
            for hop in told.hops if at_the_end else ():
                if hop.name in lost:
                    named.add(hop.state)
                    assert hop.state in IN_THE_END[loss], (hop, told)
                    # By the body that was lost, which nobody but the judge has.
                    undone = shop.judge.undone(hop.queue, hop.id, shop.judge.emitted[hop.id].body)
                    assert (undone is None) == has_no_effect(hop) or loss is Loss.LEFT_IN_THE_OUTBOX, hop
                elif hop.id not in {name.partition("/")[2] for name in lost}:
                    assert hop.state in ARRIVED, (hop, told)
            if at_the_end:
                assert told.verdict is verdict_of(shop, told), told
                verdicts.add(told.verdict)
                assert told.advice or told.verdict is Verdict.SETTLED, told
            assert (
                max(len(line) for line in lines(told) if "sagactl" not in line and "kubectl" not in line)
                <= WIDTH
            )

    run(f"lost.{seed}", ORDERS, losing, look, calm=calm)
    routes = {queue for hops in losing.lost.values() for queue, _, _ in (hop.partition("/") for hop in hops)}
    assert len(routes) >= len(READ)
    assert Verdict.SETTLED in verdicts
    assert named - {HopState.WITHOUT_EFFECT} == IN_THE_END[loss] - {HopState.WITHOUT_EFFECT}


def has_no_effect(hop: Hop) -> bool:
    would = hop.redrive.outcome if hop.redrive else None
    return hop.state is HopState.WITHOUT_EFFECT or would is Outcome.NOTHING


def is_command(line: str) -> bool:
    """Commands are to be pasted, and so never broken."""
    return line.split()[:1] in (["sagactl"], ["kubectl"])


def verdict_of(shop: Shop, told: Explanation) -> Verdict:
    """By what was lost: where the order has ended, what is missing matters only if it shows in its books, or
    if it was for the customer, or said that there are goods to be sent, or none any more. What was discarded
    matters only if it shows.
    """
    marks = Snapshot(shop, Losing(NOTHING, one_for_each_order)).marks(told.order)
    case = marks.case
    assert case.order is not None
    queues = {name.partition("/")[0] for name in told.missing}
    shows = any(marks.wrong) or not queues.isdisjoint(ALWAYS_MISSED)
    letters = [hop for hop in told.hops if hop.redrive and hop.redrive.outcome is not Outcome.NOTHING]
    dead = any(hop.state is HopState.DEAD_LETTER for hop in letters)
    discarded = any(hop.state is HopState.DISCARDED for hop in letters)
    if dead or (told.missing and (shows or not case.order.settled)):
        return Verdict.STUCK
    if discarded and (any(marks.wrong) or not case.order.settled):
        return Verdict.STUCK
    return Verdict.WAITING if any(hop.state in UNDER_WAY for hop in told.hops) else Verdict.SETTLED


def test_what_redriving_would_do_is_what_it_does() -> None:
    """In several shops: which orders come so far that something of the kind is lost is left to chance."""
    wanted = {Outcome.APPLIES, Outcome.ASKS_THE_GATEWAY}
    for seed in range(1, 5):
        wanted -= redriven_in(f"redriven.{seed}") if wanted else set()
    assert not wanted


# Which of them depends on what there is, and that on other orders, which are mended at the same time.
RESERVING: Final = {"INVENTORY_RESERVED", "INVENTORY_RESERVE_FAILED"}


def redriven_in(seed: str) -> set[Outcome]:
    losing = Losing(Loss.DEAD_LETTERED, one_for_each_order)
    said: dict[str, Hop] = {}

    def look(shop: Shop, explained: Mapping[str, Explanation], *, at_the_end: bool) -> None:
        hops = {hop.name: hop for told in explained.values() for hop in told.hops}
        if at_the_end and losing.loss is not NOTHING:
            for told in explained.values():
                dead = {hop.name: hop for hop in told.hops if hop.state is HopState.DEAD_LETTER}
                # Of several of an order, one may leave nothing to be done for another.
                said.update(dead if len(dead) == 1 else {})
        for name, before in said.items() if losing.loss is NOTHING else ():
            assert before.redrive is not None
            expected = set(before.redrive.emits)
            either = RESERVING if expected & RESERVING else set()
            happened = {type_ for type_ in expected | either if _is_emitted(shop, name, type_)}
            assert happened - RESERVING == expected - RESERVING
            assert bool(happened & RESERVING) == bool(expected & RESERVING)
            nothing = before.redrive.outcome is Outcome.NOTHING
            assert hops[name].state is (HopState.WITHOUT_EFFECT if nothing else HopState.DONE), before
        for told in explained.values() if losing.loss is NOTHING else ():
            assert told.verdict is Verdict.SETTLED

    run(seed, ORDERS, losing, look, meanwhile=False, mended=redrive)
    return {hop.redrive.outcome for hop in said.values() if hop.redrive}


def _is_emitted(shop: Shop, cause: str, type_: str) -> bool:
    return any(event_id(cause, type_, index) in shop.judge.emitted for index in range(3))


# By customers and administrators, of the order itself or of fulfilment.
ASKED: Final = COMMANDS | {RequestShipment.type}


def test_what_comes_next_is_what_was_said_to_come() -> None:
    """Of each order's next step after a look: somebody asked for it, or it was told with where it leads."""
    last: dict[str, tuple[int, Explanation]] = {}
    steps = 0

    def look(shop: Shop, explained: Mapping[str, Explanation], *, at_the_end: bool) -> None:
        nonlocal steps
        assert at_the_end or explained is not None
        for order in shop.judge.all("order", Order):
            known, told = last.get(order.id, (len(order.history), explained[order.id]))
            for step in order.history[known : known + 1]:
                if step.event not in ASKED:
                    steps += 1
                    effects = {each.event: each.effects for each in told.next}
                    way = f"{step.from_} -> {step.to}" if step.from_ != step.to else f"stays {step.to}"
                    assert any(effect.startswith(way) for effect in effects[step.event]), (step, told)
            last[order.id] = (len(order.history), explained[order.id])

    run("next", ORDERS, Losing(NOTHING, one_for_each_order), look, calm=False)
    assert steps > ORDERS / 2


def test_every_route_is_one_that_may_be_lost() -> None:
    assert (INVENTORY_EVENTS, AUTO_COMPENSATION.type) in ROUTES
    assert len(ROUTES) <= ORDERS / 3
