"""Histories decided anew: every one that the table makes is its own, and another table's is found out."""

import random
from collections.abc import Iterator, Sequence
from datetime import timedelta
from enum import StrEnum
from typing import Any, Final, NamedTuple, TypeAlias

import pytest
from msgspec import structs

from services.order import saga
from services.order.commands import CreateOrder
from services.order.domain import DOMAIN
from services.order.histories import again
from services.order.model import HistoryEntry, Order, RefundLine, Restocking, Status
from services.order.refunds import named
from services.order.saga import SAGA
from services.shared.contract.decisions import Premature, Refused
from services.shared.contract.events import Fulfilment
from services.shared.contract.table import NEW, STAYS, Attention, Row, Step, Table
from tests.unit.memory import NOW, Memory
from tests.unit.order import examples as eg
from tests.unit.order.test_saga_machine import WHATEVER_COMES

WALKS: Final = 800
LONGEST: Final = 10
# As far as it goes well; then anything may come.
PAID_WELL: Final = (eg.BOTH_RESERVED, eg.CAPTURED)
ALL_KEPT: Final = (eg.ONE_LAMP_KEPT, RefundLine("desk", 1, Restocking.NONE))
REFUND_KEPT: Final = structs.replace(eg.REFUND_REST, lines=ALL_KEPT)
WELL: Final[tuple[tuple[Any, ...], ...]] = (
    (*PAID_WELL, eg.REFUND, eg.MONEY_BACK, eg.BOTH_RELEASED),
    (*PAID_WELL, eg.REFUND_LAMP, eg.LAMP_FAILED, eg.LAMP_MONEY_BACK, eg.LAMP_GOODS_BACK),
    (*PAID_WELL, eg.REFUND_LAMP, eg.LAMP_FAILED, eg.SETTLE_LAMP, eg.LAMP_GOODS_BACK),
    (*PAID_WELL, eg.LAMP_KEPT, eg.LAMP_MONEY_BACK),
    (*PAID_WELL, eg.LAMP_KEPT, eg.LAMP_FAILED, eg.SETTLE_LAMP),
    (*PAID_WELL, eg.REFUND_LAMP, eg.REFUND_REST, eg.LAMP_MONEY_BACK, eg.LAMP_GOODS_BACK, eg.REST_FAILED),
    (*PAID_WELL, eg.REFUND_LAMP, eg.REFUND_REST, eg.REST_FAILED, eg.SETTLE_REST, eg.REST_GOODS_BACK),
    (*PAID_WELL, eg.LAMP_KEPT, eg.REFUND_REST, eg.LAMP_FAILED, eg.LAMP_MONEY_BACK),
    (*PAID_WELL, eg.LAMP_KEPT, eg.REFUND_REST, eg.LAMP_FAILED, eg.SETTLE_LAMP),
    (*PAID_WELL, eg.LAMP_KEPT, REFUND_KEPT, eg.LAMP_MONEY_BACK, eg.REST_MONEY_BACK),
    (*PAID_WELL, eg.LAMP_KEPT, REFUND_KEPT, eg.LAMP_MONEY_BACK, eg.REST_FAILED, eg.SETTLE_REST),
    (eg.BOTH_RESERVED, eg.time_out(), eg.CAPTURED, eg.ALL_FAILED, eg.SETTLE_ALL),
    (eg.BOTH_RESERVED, eg.time_out(), eg.CAPTURED, eg.ALL_FAILED, eg.MONEY_BACK),
)
# Walked as they are, beside what the dice choose: by rows that the dice may miss.
STRAIGHT: Final[tuple[tuple[Any, ...], ...]] = (
    (*PAID_WELL, eg.REFUND_LAMP, eg.MAY_IT_BE_SHIPPED, eg.LAMP_MONEY_BACK, eg.LAMP_GOODS_BACK),
    (eg.BOTH_RESERVED, eg.CAPTURED_ANOTHER_AMOUNT, eg.CANCEL),
    (eg.BOTH_RESERVED, eg.CAPTURED_ANOTHER_AMOUNT, eg.time_out(Status.CONFIRMED)),
)


Taken: TypeAlias = tuple[StrEnum, type, Step]


class Walked(NamedTuple):
    """An order, and the rows that its steps took."""

    order: Order
    rows: Sequence[Taken]


@pytest.fixture(scope="module")
def walks() -> list[Walked]:
    dice = random.Random(7)
    return [*(walked("all", each) for each in STRAIGHT), *(walk(dice) for _ in range(WALKS))]


def walk(dice: random.Random) -> Walked:
    fulfilment: Fulfilment = dice.choice(["all", "partial"])
    well = dice.choice((WELL[0], dice.choice(WELL)))
    well = well[: dice.randrange(len(well) + 1)]
    return walked(fulfilment, [*well, *dice.choices(WHATEVER_COMES, k=dice.randrange(LONGEST))])


def walked(fulfilment: Fulfilment, comes: Sequence[Any]) -> Walked:
    memory, rows = Memory(DOMAIN), list[Taken]()
    memory.handle(eg.create(fulfilment=fulfilment))
    rows.append((NEW, CreateOrder, row_of(NEW, CreateOrder, "reserve_stock")))
    for second, trigger in enumerate(comes, start=1):
        before = memory.one(Order, eg.ORDER_ID)
        try:
            memory.handle(trigger, at=NOW + timedelta(seconds=second))
        except (Premature, Refused):
            continue
        if len(memory.one(Order, eg.ORDER_ID).history) > len(before.history):
            row = SAGA.row(before.status, before, named(before, trigger))
            assert isinstance(row, Step)
            rows.append((before.status, type(trigger), row))
    return Walked(memory.one(Order, eg.ORDER_ID), rows)


def row_of(state: StrEnum, kind: type, emits: str) -> Step:
    return next(
        row
        for row in SAGA.cells[state, kind]
        if isinstance(row, Step) and emits in {emit.__name__ for emit in row.emit}
    )


STEPS: Final = [
    (state, kind, row) for (state, kind), rows in SAGA.cells.items() for row in rows if isinstance(row, Step)
]
NAMES: Final = [f"{state}-{kind.__name__}-{row.to}" for state, kind, row in STEPS]


def with_row(state: StrEnum, kind: type, row: Row, other: Row) -> Table:  # type: ignore[type-arg]  # of orders
    cell = tuple(other if each is row else each for each in SAGA.cells[state, kind])
    return Table({**SAGA.cells, (state, kind): cell}, state="status")


def others(state: StrEnum, row: Step) -> Iterator[Row]:
    """It goes elsewhere, or nowhere."""
    to = state if row.to is STAYS else row.to
    yield row._replace(to=Status.REFUNDED if to is not Status.REFUNDED else Status.PAID)
    yield Attention("what was a step", when=row.when)


def test_every_walk_is_decided_again_as_it_was(walks: list[Walked]) -> None:
    for each in walks:
        assert again(each.order).difference is None


@pytest.mark.parametrize(("state", "kind", "row"), STEPS, ids=NAMES)
def test_a_changed_row_is_found_in_every_history_that_took_it_and_in_no_other(
    walks: list[Walked], monkeypatch: pytest.MonkeyPatch, state: StrEnum, kind: type, row: Step
) -> None:
    taken = [each for each in walks if (state, kind, row) in each.rows]
    assert taken, "no walk comes here"
    for other in others(state, row):
        monkeypatch.setattr(saga, "SAGA", with_row(state, kind, row, other))
        for each in taken:
            difference = again(each.order).difference
            assert difference is not None
            assert difference.step == each.rows.index((state, kind, row)) + 1
        for each in walks[:200]:
            assert each in taken or again(each.order).difference is None


def test_stock_that_would_not_be_given_back_is_found(
    walks: list[Walked], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a step publishes is not in the history; what the order owes by it is."""
    state, kind = Status.CONFIRMED, type(eg.DECLINED)
    row = row_of(state, kind, "release_stock")
    without = row._replace(emit=row.emit[1:])
    monkeypatch.setattr(saga, "SAGA", with_row(state, kind, row, without))
    found = [again(each.order).difference for each in walks if (state, kind, row) in each.rows]
    assert found
    assert all(each is not None for each in found)
    assert {each.recorded for each in found if each} == {
        "CONFIRMED -> CANCELLED, publishes INVENTORY_RELEASE_REQUEST"
    }
    assert {each.decided for each in found if each} == {"CONFIRMED -> CANCELLED, publishes ORDER_CANCELLED"}


# --- what is damaged, or of another release ---------------------------------------------------------------

CREATED: Final = HistoryEntry(eg.AT, "ORDER_CREATED", None, Status.PENDING, "1")
SHIPPED: Final = HistoryEntry(eg.AT, "SHIPPED", Status.PENDING, Status.PAID, "2")
PAID: Final = HistoryEntry(eg.AT, "PAYMENT_SUCCEEDED", Status.PENDING, Status.PAID, "2")


@pytest.mark.parametrize(
    ("history", "step", "decided"),
    [
        ([CREATED, SHIPPED], 2, "nothing: this release does not know it"),
        ([CREATED, PAID], 2, "too early: the order is not confirmed yet"),
        ([PAID], 1, "nothing: NEW has no such row"),
        ([CREATED, structs.replace(CREATED, from_=Status.PENDING)], 2, "nothing: PENDING has no such row"),
    ],
)
def test_what_cannot_have_happened_here_is_told_with_what_would_happen(
    history: list[HistoryEntry], step: int, decided: str
) -> None:
    difference = again(structs.replace(eg.PENDING, history=tuple(history))).difference
    assert difference is not None
    assert (difference.step, difference.decided) == (step, decided)


def test_an_order_that_stands_otherwise_than_its_history_leads_to_is_told_at_its_end() -> None:
    difference = again(structs.replace(eg.PENDING, total=1)).difference
    assert difference is not None
    assert difference.step == 1
    assert "total 1," in difference.recorded
    assert "total 45000," in difference.decided
