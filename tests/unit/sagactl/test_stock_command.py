"""`sagactl stock`: what is told of a product, and of those that only one service knows."""

from datetime import UTC, datetime, timedelta

from msgspec import structs

from sagactl.oncall.stock import lines
from sagactl.oncall.stocking import NAMED_AT_MOST, Buyer, Change, Counters, Offer, StockFacts
from services.inventory.moves import MoveKind, Reason, StockMove
from services.inventory.stock import HOLD, Stock
from services.order.model import Status

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)
STOCK = Stock(id="lamp", created=False).created_with(5).restocked_by(3).adjusted_by(-1).moved(HOLD, 2)
FACTS = StockFacts(
    product="lamp",
    at=NOON,
    offer=Offer("Lamp [small]", "10.00", "EUR", deleted=False),
    stock=Counters.of(STOCK),
    open_orders=(Buyer("order-1", Status.CONFIRMED, 2, NOON - timedelta(seconds=61)),),
)


def test_a_product_is_told_with_what_came_and_who_has_it() -> None:
    assert [*lines(FACTS)] == [
        "[bold]product[/]    lamp",
        "[bold]offer[/]      Lamp \\[small], 10.00 EUR",
        "[bold]stock[/]      5 available, 2 reserved, 0 sold",
        "[bold]came[/]       5 at first, +3 restocked, -1 counted",
        "[bold]ordered[/]    2 by order-1, CONFIRMED for 1 min 1 s",
    ]


def test_what_only_one_service_knows_is_said_so() -> None:
    assert "[bold]offer[/]      [yellow]the catalogue does not know it[/]" in lines(
        structs.replace(FACTS, offer=None)
    )
    *_, last = lines(structs.replace(FACTS, stock=None))
    assert last == "[bold]stock[/]      [yellow]inventory does not know it[/]"


def test_that_there_may_be_more_orders_is_said() -> None:
    *_, last = lines(structs.replace(FACTS, open_orders=FACTS.open_orders * NAMED_AT_MOST))
    assert "perhaps by more" in last


def test_a_change_is_told_as_it_was_said() -> None:
    move = StockMove(
        id="command-1",
        product_id="lamp",
        kind=MoveKind.ADJUST,
        delta=-1,
        reason=Reason.DAMAGED,
        note="dropped",
        by="boss",
        at=NOON,
        revision=3,
    )
    told = Change.of(move)
    assert (told.id, told.delta, told.reason, told.note, told.by) == (
        "command-1",
        -1,
        Reason.DAMAGED,
        "dropped",
        "boss",
    )
