"""A second look at orders: at once, and after the queues that matter have been watched."""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final

import pytest
from msgspec import structs

from sagactl.access import Access
from sagactl.oncall.explain.marks import Marks, Unsent
from sagactl.oncall.explain.reading import Reader
from sagactl.oncall.live import looking
from sagactl.oncall.live.looking import AT_ONCE, Watch, look_again, seen_empty
from services.shared.contract.events import INVENTORY, NOTIFICATIONS
from services.shared.contract.topology import all_queues
from tests.unit.explain.desk import NOW, Desk

NOWHERE: Final = Access(amqp_url="", management_url="", mongodb_url="")
BOOKS: Any = None
AWHILE: Final = Watch(seconds=1)
SHORT: Final = Watch(seconds=0.1, apart_seconds=0.03)
NEVER_ENDS: Final = Watch(seconds=3600, apart_seconds=0.03)
Looks = Callable[..., list[Collection[str]]]


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> Looks:
    """Given what each look finds: a list of which queues are watched, each of which is seen empty."""

    def found(*marks: Marks) -> list[Collection[str]]:
        watched, coming = list[Collection[str]](), iter(marks)

        async def seen(_: Access, __: Watch, queues: Collection[str]) -> Collection[str]:
            watched.append(queues)
            return queues

        async def look(*_: object) -> Sequence[Marks]:
            return [next(coming)]

        monkeypatch.setattr(looking, "seen_empty", seen)
        monkeypatch.setattr(Reader, "look", look)
        return watched

    return found


async def test_who_looks_at_once_watches_nothing(looks: Looks) -> None:
    marks = Desk().marks()
    watched = looks(marks)
    assert await look_again(BOOKS, NOWHERE, [marks.case], AT_ONCE) == [marks]
    assert not watched


async def test_where_no_message_may_wait_nothing_is_watched(looks: Looks) -> None:
    marks = Desk().paid().marks(waiting={NOTIFICATIONS: 3})
    watched = looks(marks)
    assert await look_again(BOOKS, NOWHERE, [marks.case], AWHILE) == [marks]
    assert not watched


@pytest.mark.parametrize("waiting", [{}, {INVENTORY: 3}])
async def test_the_queue_of_a_message_that_may_wait_is_watched_and_no_other(
    looks: Looks, waiting: dict[str, int]
) -> None:
    """What is in it in the end has come since, and the message is not there."""
    desk = Desk()
    watched = looks(desk.marks(waiting=waiting), desk.marks(waiting={INVENTORY: 1, NOTIFICATIONS: 1}))
    (found,) = await look_again(BOOKS, NOWHERE, [desk.marks().case], AWHILE)
    assert watched == [{INVENTORY}]
    assert (found.waiting, found.moving) == ({NOTIFICATIONS: 1}, False)


async def test_what_is_sent_while_it_is_watched_is_on_its_way(looks: Looks) -> None:
    desk = Desk()
    before = desk.marks(unsent=(Unsent("event", "ORDER_PAID", "order", NOW),))
    looks(before, desk.marks())
    (found,) = await look_again(BOOKS, NOWHERE, [before.case], AWHILE)
    assert found.moving


async def test_what_changes_while_it_is_watched_moves(looks: Looks) -> None:
    before, after = Desk().marks(), Desk().paid().marks()
    looks(before, structs.replace(before, case=after.case))
    (found,) = await look_again(BOOKS, NOWHERE, [before.case], AWHILE)
    assert found.moving


async def test_a_queue_that_is_never_empty_holds_up_nobody_who_does_not_ask_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    times = list[int]()

    async def waiting_in(_: Access) -> Mapping[str, int]:
        times.append(1)
        return Counter({INVENTORY: 1})

    monkeypatch.setattr(looking, "WATCH_EVERY_SECONDS", 0.02)
    monkeypatch.setattr(looking, "_waiting_in", waiting_in)
    of_notifications = {name for name in all_queues(NOTIFICATIONS) if not name.endswith(".dlq")}
    assert await seen_empty(NOWHERE, NEVER_ENDS, {NOTIFICATIONS}) == of_notifications
    assert len(times) > 1  # seen so twice, some time apart
    assert await seen_empty(NOWHERE, SHORT, {INVENTORY, NOTIFICATIONS}) == of_notifications
