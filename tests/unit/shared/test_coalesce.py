"""Many callers, one round trip: nobody waits forever, and nobody pays for another's item."""

import asyncio
from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.shared.coalesce import Coalescer

WITHIN = 5.0


class Down(Exception):
    """Nobody's fault."""


class Poisoned(Exception):
    """The fault of one of the items."""


@dataclass
class Server:
    """Answers numbers with their doubles; some it chokes on."""

    poison: frozenset[int] = frozenset()
    down: bool = False
    asked: list[list[int]] = field(default_factory=list)
    open: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.open.set()

    async def fetch(self, numbers: Sequence[int]) -> list[int]:
        self.asked.append(list(numbers))
        await self.open.wait()
        if self.down:
            raise Down("no answer")
        if bad := self.poison & set(numbers):
            raise Poisoned(str(sorted(bad)))
        return [2 * number for number in numbers]


def coalescer(server: Server, *, most_at_once: int = 100, share: bool = False) -> Coalescer[int, int]:
    return Coalescer(server.fetch, most_at_once=most_at_once, unavailable=Down, share=share)


async def outcomes(asking: Coalescer[int, int], numbers: Sequence[int]) -> list[int | BaseException]:
    async with asyncio.timeout(WITHIN):
        return await asyncio.gather(*map(asking.ask, numbers), return_exceptions=True)


async def test_what_is_asked_for_while_a_round_trip_is_under_way_goes_together_in_the_next() -> None:
    server = Server()
    server.open.clear()
    asking = coalescer(server)
    first = asyncio.create_task(asking.ask(1))
    while not server.asked:
        await asyncio.sleep(0)
    others = asyncio.gather(*map(asking.ask, (2, 3)))
    await asyncio.sleep(0)
    server.open.set()
    assert await first == 2
    assert await others == [4, 6]
    assert server.asked == [[1], [2, 3]]


async def test_a_round_trip_has_no_more_items_than_it_may() -> None:
    server = Server()
    assert await outcomes(coalescer(server, most_at_once=2), range(5)) == [0, 2, 4, 6, 8]
    assert server.asked == [[0, 1], [2, 3], [4]]


async def test_equal_items_are_asked_for_once_where_they_are_shared_and_each_for_itself_elsewhere() -> None:
    shared, apart = Server(), Server()
    assert await outcomes(coalescer(shared, share=True), [7, 7, 8]) == [14, 14, 16]
    assert await outcomes(coalescer(apart), [7, 7, 8]) == [14, 14, 16]
    assert (shared.asked, apart.asked) == ([[7, 8]], [[7, 7, 8]])


@given(
    numbers=st.lists(st.integers(0, 30), max_size=60),
    poison=st.frozensets(st.integers(0, 30), max_size=5),
    most_at_once=st.integers(1, 20),
    share=st.booleans(),
)
async def test_only_those_whose_item_is_at_fault_fail(
    numbers: list[int], poison: frozenset[int], most_at_once: int, *, share: bool
) -> None:
    asking = coalescer(Server(poison), most_at_once=most_at_once, share=share)
    for number, outcome in zip(numbers, await outcomes(asking, numbers), strict=True):
        if number in poison:
            assert isinstance(outcome, Poisoned)
            assert str(outcome) == f"[{number}]"
        else:
            assert outcome == 2 * number


async def test_one_item_at_fault_among_many_costs_few_round_trips() -> None:
    server = Server(frozenset({33}))
    await outcomes(coalescer(server), range(64))
    assert len(server.asked) <= 13  # all, and two for each halving


async def test_a_server_that_is_unavailable_is_not_asked_item_by_item() -> None:
    server = Server(down=True)
    assert [type(outcome) for outcome in await outcomes(coalescer(server), range(10))] == [Down] * 10
    assert len(server.asked) == 1


async def test_a_server_that_becomes_unavailable_while_the_guilty_is_looked_for_is_left_alone() -> None:
    server = Server(frozenset({0}))

    async def fetch(numbers: Sequence[int]) -> list[int]:
        server.down = len(server.asked) == 1
        return await server.fetch(numbers)

    asking: Coalescer[int, int] = Coalescer(fetch, most_at_once=100, unavailable=Down)
    assert [type(outcome) for outcome in await outcomes(asking, range(8))] == [Down] * 8
    assert [len(numbers) for numbers in server.asked] == [8, 4]


async def test_after_a_failure_the_next_caller_is_served() -> None:
    server = Server(down=True)
    asking = coalescer(server)
    with pytest.raises(Down):
        await asking.ask(1)
    server.down = False
    assert await asking.ask(1) == 2


async def test_an_answer_too_few_leaves_nobody_waiting() -> None:
    async def forgetful(numbers: Sequence[int]) -> list[int]:
        return list(numbers)[1:]

    asking: Coalescer[int, int] = Coalescer(forgetful, most_at_once=10, unavailable=Down)
    assert [type(outcome) for outcome in await outcomes(asking, [1, 2, 3])] == [ValueError] * 3


async def test_a_round_trip_that_is_cancelled_leaves_nobody_waiting_and_the_next_caller_is_served() -> None:
    broken = True

    async def fetch(numbers: Sequence[int]) -> Sequence[int]:
        if broken:
            raise asyncio.CancelledError
        return numbers

    asking: Coalescer[int, int] = Coalescer(fetch, most_at_once=1, unavailable=Down)
    assert [type(outcome) for outcome in await outcomes(asking, [1, 2, 3])] == [Down] * 3
    broken = False
    assert await asking.ask(4) == 4


async def test_several_items_of_one_caller_are_answered_one_for_one_in_one_round_trip() -> None:
    server = Server()
    assert await coalescer(server).ask_all([3, 1, 3]) == [6, 2, 6]
    assert server.asked == [[3, 1, 3]]


async def test_of_several_items_the_first_at_fault_is_told() -> None:
    with pytest.raises(Poisoned, match=r"\[5\]"):
        await coalescer(Server(frozenset({5, 6}))).ask_all([4, 5, 6])


@pytest.mark.parametrize("share", [True, False])
async def test_a_caller_who_goes_away_takes_nobody_along(*, share: bool) -> None:
    server = Server()
    server.open.clear()
    asking = coalescer(server, share=share)
    goes, stays = asyncio.create_task(asking.ask(1)), asyncio.create_task(asking.ask(1))
    while not server.asked:
        await asyncio.sleep(0)
    goes.cancel()
    await asyncio.sleep(0)
    server.open.set()
    assert await stays == 2
    assert goes.cancelled()


async def test_what_nobody_waits_for_any_more_is_not_asked_for() -> None:
    server = Server()
    server.open.clear()
    asking = coalescer(server)
    early = asyncio.create_task(asking.ask_all([1, 2, 3]))
    while not server.asked:
        await asyncio.sleep(0)
    late = asyncio.create_task(asking.ask(4))
    await asyncio.sleep(0)
    late.cancel()
    await asyncio.sleep(0)
    server.open.set()
    assert await early == [2, 4, 6]
    assert server.asked == [[1, 2, 3]]


REQUEST: ContextVar[str | None] = ContextVar("request", default=None)


async def of_request(name: str, asking: Coalescer[int, str | None], *numbers: int) -> list[str | None]:
    REQUEST.set(name)
    return await asking.ask_all(numbers) if len(numbers) > 1 else [await asking.ask(*numbers)]


async def test_a_round_trip_belongs_to_the_request_of_its_one_asker_or_to_none() -> None:
    """Its log lines and what it asks of others say so: the first of several would be named for all."""
    server = Server()

    async def fetch(numbers: Sequence[int]) -> list[str | None]:
        await server.fetch(numbers)
        return [REQUEST.get()] * len(numbers)

    asking = Coalescer(fetch, most_at_once=9, unavailable=Down)
    server.open.clear()
    alone = asyncio.create_task(of_request("alone", asking, 1, 2))
    while not server.asked:
        await asyncio.sleep(0)
    together = asyncio.gather(*(of_request(name, asking, 3) for name in ("first", "second")))
    await asyncio.sleep(0)
    server.open.set()
    assert await alone == ["alone", "alone"]
    assert await together == [[None], [None]]
    assert await asyncio.create_task(of_request("later", asking, 4)) == ["later"]
    assert server.asked == [[1, 2], [3, 3], [4]]
