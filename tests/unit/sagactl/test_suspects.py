"""Orders that seem wrong while the shop works: those that move on, or turn out sound, are let go."""

import asyncio

from msgspec import structs

from sagactl.oncall.invariants import Case
from sagactl.oncall.look import Suspects
from tests.unit.order.examples import CONFIRMED
from tests.unit.sagactl.test_invariants import PAID

UNSETTLED = Case(PAID.id, CONFIRMED, PAID.reservation, PAID.payment, PAID.ledger, [])
MOVED = UNSETTLED._replace(order=structs.replace(CONFIRMED, version=7))


def test_what_stands_as_it_stood_is_wrong() -> None:
    suspects = Suspects({UNSETTLED.id: UNSETTLED})
    assert suspects.note([UNSETTLED])
    assert suspects.still(0) == [UNSETTLED]


def test_what_is_sound_by_now_is_let_go() -> None:
    suspects = Suspects({UNSETTLED.id: UNSETTLED})
    assert not suspects.note([PAID])
    assert suspects.still(0) == []
    assert suspects.ids == []


async def test_what_moved_has_to_stand_still_anew() -> None:
    suspects = Suspects({UNSETTLED.id: UNSETTLED})
    await asyncio.sleep(0.05)
    assert suspects.still(0.05) == [UNSETTLED]
    assert not suspects.note([MOVED])
    assert suspects.still(0.05) == []
    assert suspects.note([MOVED])
    assert suspects.still(0) == [MOVED]
