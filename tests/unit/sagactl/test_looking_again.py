"""A second look at orders: with watching before it, and at once."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import pytest

from sagactl.access import Access
from sagactl.oncall.explain.marks import Marks, Unsent
from sagactl.oncall.explain.reading import Reader
from sagactl.oncall.live import looking
from sagactl.oncall.live.looking import AT_ONCE, Watch, look_again
from tests.unit.explain.desk import NOW, ORDER, Desk

NOWHERE = Access(amqp_url="", management_url="", mongodb_url="")


class Books:
    """Something is in an outbox at each look but the last."""

    def __init__(self) -> None:
        self.asked = 0

    async def unsent(self, subjects: Collection[str]) -> Mapping[str, Sequence[Unsent]]:
        self.asked += 1
        return {id_: (Unsent("event", "ORDER_PAID", "order", NOW),) for id_ in subjects}


@pytest.mark.parametrize(("watch", "asked"), [(AT_ONCE, 0), (Watch(seconds=1), 1)])
async def test_outboxes_are_asked_before_the_queues_are_watched_and_not_where_nobody_watches(
    monkeypatch: pytest.MonkeyPatch, watch: Watch, asked: int
) -> None:
    books: Any = Books()
    marks, watched = Desk().paid().marks(), list[Watch]()

    async def seen_empty(_: Access, how: Watch) -> Collection[str]:
        watched.append(how)
        return ()

    async def look(*_: object) -> Sequence[Marks]:
        return [marks]

    monkeypatch.setattr(looking, "seen_empty", seen_empty)
    monkeypatch.setattr(Reader, "look", look)
    (found,) = await look_again(books, NOWHERE, [marks.case], watch)
    assert (found.case.id, books.asked, len(watched)) == (ORDER, asked, asked)
    # What was in an outbox, and is in none, may be on its way.
    assert found.moving is bool(asked)
