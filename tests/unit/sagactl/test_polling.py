"""Waiting for a condition: until it holds, and no longer than one is willing to wait."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress

import pytest

from sagactl.polling import NotInTimeError, until


def counting() -> Callable[[], Awaitable[int]]:
    numbers: Iterator[int] = iter(range(1000))

    async def look() -> int:
        return next(numbers)

    return look


async def test_what_was_found_is_returned_once_it_is_good() -> None:
    found = await until(counting(), lambda number: number > 3, within=5, what="a four", every=0)
    assert found == 4


async def test_what_is_there_already_costs_no_wait() -> None:
    async def there() -> str:
        return "it"

    assert await until(there, within=0.05, what="it", every=60) == "it"


async def test_an_error_names_what_was_waited_for_and_what_was_seen_last() -> None:
    async def empty() -> dict[str, int]:
        return {}

    with pytest.raises(NotInTimeError, match=r"^the answer: not within 0.05 s; last seen: \{\}$"):
        await until(empty, within=0.05, what="the answer", every=0.01)


async def test_what_was_seen_last_can_be_told_in_other_words() -> None:
    with pytest.raises(NotInTimeError, match=r"last seen: \d+ so far$"):
        await until(
            counting(), lambda _: False, within=0.05, what="more", every=0.01, told=lambda n: f"{n} so far"
        )


async def test_a_look_that_never_ends_is_broken_off() -> None:
    async def hanging() -> bool:
        await asyncio.Event().wait()
        return True

    with pytest.raises(NotInTimeError, match=r"an end: not within 0.05 s; last seen: nothing"):
        await until(hanging, within=0.05, what="an end")


async def test_a_look_that_is_broken_off_and_does_not_notice_is_the_last() -> None:
    looks = 0

    async def deaf() -> bool:
        nonlocal looks
        looks += 1
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(0.2)
        return looks > 10

    with pytest.raises(NotInTimeError, match=r"an end: not within 0.05 s; last seen: False"):
        await until(deaf, within=0.05, what="an end", every=0)
    assert looks == 1


@pytest.mark.parametrize("error", [TimeoutError("its own"), ValueError("wrong")])
async def test_an_error_of_the_look_itself_is_no_lack_of_time(error: Exception) -> None:
    async def failing() -> bool:
        raise error

    with pytest.raises(type(error), match=str(error)) as raised:
        await until(failing, within=5, what="nothing")
    assert not isinstance(raised.value, NotInTimeError)
