"""What creating, discontinuing, restocking and adjusting do to a product's stock."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.inventory.domain import domain
from services.inventory.moves import MoveKind, Reason, StockMove
from services.inventory.products import Adjust, Restock, SetAvailable
from services.inventory.stock import LARGEST, Stock
from services.shared.contract.audit import Action, Actor, By, Kind
from services.shared.contract.decisions import KeyReused, NotFound, Refused, Stale, Verdict
from services.shared.contract.events import ProductCreated, ProductDeleted
from services.shared.contract.idempotency import LIFETIME, IdempotencyKey, Key
from tests.unit.memory import NOW, Memory

CREATED = ProductCreated(product_id="lamp", initial_stock=7)
DELETED = ProductDeleted(product_id="lamp")
RESTOCK = Restock(product_id="lamp", quantity=3)
KEYED = Restock(product_id="lamp", quantity=3, key=Key("admin/key", "hash"))


def inventory(*stored: Stock) -> Memory:
    return Memory(domain(auto_compensation=False), *stored)


def lamp(memory: Memory) -> Stock:
    return memory.one(Stock, "lamp")


def test_a_created_product_has_its_initial_stock() -> None:
    memory = inventory()
    memory.handle(CREATED)
    assert lamp(memory) == Stock(id="lamp", version=1, initial=7, available=7, revision=1)


def test_a_product_created_again_keeps_what_it_has() -> None:
    memory = inventory(Stock(id="lamp", initial=7, available=2, sold=5))
    assert memory.handle(CREATED).verdict is Verdict.DUPLICATE
    assert lamp(memory).available == 2


@given(st.permutations([CREATED, DELETED, CREATED, DELETED]))
def test_created_and_deleted_in_any_order_is_discontinued_with_its_stock(
    events: list[ProductCreated | ProductDeleted],
) -> None:
    memory = inventory()
    for event in events:
        memory.handle(event)
    assert (lamp(memory).discontinued, lamp(memory).available, lamp(memory).initial) == (True, 7, 7)


def test_what_is_held_of_a_deleted_product_stays() -> None:
    memory = inventory(Stock(id="lamp", initial=7, available=4, reserved=3))
    memory.handle(DELETED)
    assert (lamp(memory).reserved, lamp(memory).on_offer) == (3, 0)


def test_restocked_pieces_are_available() -> None:
    memory = inventory(Stock(id="lamp", initial=7, available=2, sold=5))
    reply = memory.handle(RESTOCK).reply
    assert isinstance(reply, Stock)
    assert (reply.available, reply.restocked, reply.initial) == (5, 3, 7)
    assert lamp(memory).available == 5


def test_without_a_key_each_restocking_counts() -> None:
    memory = inventory(Stock(id="lamp"))
    memory.handle(RESTOCK)
    memory.handle(RESTOCK)
    assert lamp(memory).restocked == 6


def test_with_a_key_a_restocking_counts_once() -> None:
    memory = inventory(Stock(id="lamp"))
    memory.handle(KEYED)
    again = memory.handle(KEYED)
    assert again.verdict is Verdict.DUPLICATE
    assert again.reply == lamp(memory)
    assert lamp(memory).restocked == 3


def test_a_key_of_another_restocking_is_turned_away() -> None:
    memory = inventory(Stock(id="lamp"))
    memory.handle(KEYED)
    with pytest.raises(KeyReused):
        memory.handle(Restock(product_id="lamp", quantity=4, key=Key("admin/key", "another")))


def test_a_key_is_forgotten_after_a_day() -> None:
    memory = inventory(Stock(id="lamp"))
    memory.handle(KEYED)
    memory.handle(KEYED, at=NOW + LIFETIME - timedelta(milliseconds=1))
    assert lamp(memory).restocked == 3
    memory.handle(KEYED, at=NOW + LIFETIME)
    assert lamp(memory).restocked == 6
    assert memory.one(IdempotencyKey, "admin/key").at == NOW + LIFETIME


def test_there_is_no_restocking_what_does_not_exist() -> None:
    with pytest.raises(NotFound, match="lamp"):
        inventory().handle(RESTOCK)


def test_there_is_no_restocking_what_was_deleted_before_it_was_created() -> None:
    memory = inventory()
    memory.handle(DELETED)
    with pytest.raises(NotFound, match="lamp"):
        memory.handle(RESTOCK)


def test_there_is_no_restocking_what_is_discontinued() -> None:
    with pytest.raises(Refused, match="discontinued"):
        inventory(Stock(id="lamp", discontinued=True)).handle(RESTOCK)


def test_there_is_a_most_that_can_be_there() -> None:
    memory = inventory(Stock(id="lamp", initial=LARGEST - 4, restocked=1))
    memory.handle(RESTOCK)
    with pytest.raises(Refused, match="at most"):
        memory.handle(RESTOCK)


def test_who_restocked_and_how_much_is_on_the_trail_once() -> None:
    memory = inventory(Stock(id="lamp", initial=7, available=7))
    by = By(Actor("boss", Kind.USER, ("admin",)), "192.0.2.7")
    (entry,) = memory.handle(KEYED, by=by).audit
    assert (entry.action, entry.subject, entry.detail) == (Action.RESTOCKED, "lamp", "3 pieces")
    assert memory.handle(KEYED, by=by).audit == ()


BROKEN = Adjust(product_id="lamp", delta=-2, reason=Reason.DAMAGED, note="fell down", key=Key("a/1", "hash"))


def counted(available: int, *revisions: int) -> SetAvailable:
    return SetAvailable(
        product_id="lamp", available=available, reason=Reason.COUNT, revisions=revisions or None
    )


def test_an_adjustment_is_in_the_balance_and_in_the_history() -> None:
    memory = inventory(Stock(id="lamp", initial=7, available=4, reserved=1, sold=2, revision=9))
    by = By(Actor("boss", Kind.USER, ("admin",)), "192.0.2.7")
    decision = memory.handle(BROKEN, by=by)
    stock = lamp(memory)
    assert (stock.available, stock.adjusted, stock.revision, stock.came) == (2, -2, 10, 5)
    (move,) = memory.all(StockMove)
    assert (move.product_id, move.kind, move.delta) == ("lamp", MoveKind.ADJUST, -2)
    assert (move.reason, move.note, move.by, move.revision) == (Reason.DAMAGED, "fell down", "boss", 10)
    (entry,) = decision.audit
    assert (entry.action, entry.reason, entry.detail) == (Action.STOCK_ADJUSTED, "DAMAGED", "-2 pieces")


def test_with_a_key_an_adjustment_counts_once() -> None:
    memory = inventory(Stock(id="lamp", initial=7, available=7))
    memory.handle(BROKEN)
    assert memory.handle(BROKEN).verdict is Verdict.DUPLICATE
    assert (lamp(memory).available, len(memory.all(StockMove))) == (5, 1)


def test_what_orders_hold_cannot_be_adjusted_away() -> None:
    memory = inventory(Stock(id="lamp", initial=7, available=1, reserved=6, revision=3))
    with pytest.raises(Refused, match="1 pieces can be taken away") as refused:
        memory.handle(BROKEN)
    assert refused.value.members == {"available": 1, "reserved": 6, "revision": 3}
    assert memory.all(StockMove) == []


def test_a_discontinued_product_can_be_counted() -> None:
    memory = inventory(Stock(id="lamp", initial=7, available=7, discontinued=True))
    memory.handle(BROKEN)
    assert lamp(memory).available == 5


def test_there_is_no_adjusting_above_the_most_or_what_does_not_exist() -> None:
    more = Adjust(product_id="lamp", delta=1, reason=Reason.FOUND)
    with pytest.raises(Refused, match="at most"):
        inventory(Stock(id="lamp", initial=LARGEST)).handle(more)
    with pytest.raises(NotFound, match="lamp"):
        inventory().handle(more)


def test_a_count_sets_what_is_available() -> None:
    memory = inventory(Stock(id="lamp", initial=7, available=4, reserved=3, revision=5))
    memory.handle(counted(6, 4, 5))
    assert (lamp(memory).available, lamp(memory).adjusted, lamp(memory).reserved) == (6, 2, 3)
    (move,) = memory.all(StockMove)
    assert (move.kind, move.delta, move.revision) == (MoveKind.SET, 2, 6)


def test_a_count_of_an_overtaken_revision_is_told_the_present_one() -> None:
    memory = inventory(Stock(id="lamp", initial=7, available=7))
    memory.handle(CREATED)
    with pytest.raises(Stale) as stale:
        memory.handle(counted(5, 7))
    assert stale.value.members == {"available": 7, "reserved": 0, "revision": 0}
    memory.handle(counted(5))
    assert lamp(memory).available == 5


def test_a_count_that_finds_what_was_known_changes_nothing() -> None:
    memory = inventory(Stock(id="lamp", initial=7, available=7))
    assert memory.handle(counted(7, 0)).reply == lamp(memory)
    assert (lamp(memory).revision, memory.all(StockMove)) == (0, [])


def test_a_count_that_changed_nothing_is_not_carried_out_later() -> None:
    memory = inventory(Stock(id="lamp", initial=7, available=7))
    same = SetAvailable(
        product_id="lamp", available=7, reason=Reason.COUNT, revisions=None, key=Key("boss/1", "hash")
    )
    memory.handle(same)
    memory.handle(BROKEN)
    assert memory.handle(same).verdict is Verdict.DUPLICATE
    assert lamp(memory).available == 5


@given(st.lists(st.sampled_from([CREATED, RESTOCK, BROKEN, counted(3), DELETED]), max_size=8))
def test_every_change_has_a_revision_of_its_own(commands: list[object]) -> None:
    memory = inventory(Stock(id="lamp", initial=5, available=5))
    for command in commands:
        before = lamp(memory)
        try:
            memory.handle(command)
        except Refused:
            continue
        changed = lamp(memory) != before
        assert lamp(memory).revision == before.revision + changed
    revisions = [move.revision for move in memory.all(StockMove)]
    assert len(set(revisions)) == len(revisions)
    assert sum(move.delta for move in memory.all(StockMove)) == lamp(memory).restocked + lamp(memory).adjusted
