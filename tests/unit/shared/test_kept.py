"""An answer that many want is made once, for all who wait, whatever becomes of it."""

import asyncio

import pytest

from services.shared.kept import Kept


class Maker:
    """Makes answers when it is let, one more each time."""

    def __init__(self, *, fails: bool = False) -> None:
        self.begun, self.ended, self.at_once = 0, 0, 0
        self.let = asyncio.Event()
        self._fails = fails

    async def make(self) -> tuple[int, float]:
        self.begun += 1
        self.at_once = max(self.at_once, self.begun - self.ended)
        number = self.begun
        await self.let.wait()
        self.ended += 1
        if self._fails:
            raise OSError("nobody answers")
        return number, 60.0


async def asked(kept: Kept[int], number: int) -> list[asyncio.Task[int]]:
    """By so many who wait by now."""
    tasks = [asyncio.create_task(kept.get()) for _ in range(number)]
    for _ in range(3):
        await asyncio.sleep(0)
    return tasks


async def test_all_who_wait_are_given_one_answer_and_so_are_those_who_come_later() -> None:
    maker = Maker()
    kept = Kept(maker.make)
    tasks = await asked(kept, 3)
    maker.let.set()
    assert await asyncio.gather(*tasks) == [1, 1, 1]
    assert await kept.get() == 1


async def test_where_it_fails_all_who_wait_are_told_at_once_and_the_next_has_it_made_anew() -> None:
    maker = Maker(fails=True)
    kept = Kept(maker.make)
    tasks = await asked(kept, 3)
    maker.let.set()
    failed = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(each) for each in failed] == [OSError] * 3
    assert maker.begun == 1
    with pytest.raises(OSError, match="nobody answers"):
        await kept.get()
    assert maker.begun == 2


async def test_who_waits_no_longer_leaves_the_others_waiting() -> None:
    maker = Maker()
    tasks = await asked(kept := Kept(maker.make), 2)
    tasks[0].cancel()
    await asyncio.wait({tasks[0]})
    maker.let.set()
    assert await tasks[1] == 1
    assert await kept.get() == 1


async def test_what_was_forgotten_while_it_was_made_is_made_anew_and_not_beside_it() -> None:
    maker = Maker()
    kept = Kept(maker.make)
    (before,) = await asked(kept, 1)
    kept.forget()
    (after,) = await asked(kept, 1)
    maker.let.set()
    assert (await before, await after, await kept.get()) == (1, 2, 2)
    assert maker.at_once == 1
