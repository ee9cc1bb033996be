"""What a replay says, to people and to programs."""

from typing import Final

from sagactl.oncall.replay.report import SHOWN, Differing, Replay, lines
from services.order.histories import Difference
from tests.unit.explain.desk import NOW

FOUND: Final = Difference(3, "PAYMENT_FAILED", "e-1", "CONFIRMED -> CANCELLED", "nothing")


def told(*found: Difference, wide: bool = False) -> list[str]:
    items = tuple(Differing("order-1", each) for each in found)
    return list(lines(Replay(version="0.2.0", at=NOW, histories=2000, steps=6000, items=items), wide=wide))


def test_where_nothing_differs_it_says_of_how_much() -> None:
    assert told() == ["2000 histories of 6000 steps: 0.2.0 decides all of them the same way"]


def test_each_order_is_told_with_its_step_what_was_and_what_would_be() -> None:
    assert told(FOUND) == [
        "order-1, step 3: PAYMENT_FAILED e-1",
        "  was        CONFIRMED -> CANCELLED",
        "  would be   nothing",
        "1 of 2000 histories of 6000 steps would be decided differently by 0.2.0",
    ]


def test_a_document_that_cannot_be_read_is_told_as_a_whole() -> None:
    unread = Difference(0, "", "", "written by another release", "cannot be read here: Invalid enum value")
    assert told(unread)[0] == "order-1: its document"


def test_of_many_some_are_shown_and_all_where_there_is_room() -> None:
    many = [FOUND] * (SHOWN + 5)
    assert len(told(*many)) == 3 * SHOWN + 2
    assert told(*many)[-2] == "and 5 more: -o wide names all"
    assert len(told(*many, wide=True)) == 3 * len(many) + 1
