"""Whoever waits for an event, for a while, hears of it in time, and is cancelled whenever."""

import asyncio

import pytest

from services.shared.waiting import happens

pytestmark = pytest.mark.looptime


@pytest.mark.parametrize(("set_after", "heard"), [(0.0, True), (0.9, True), (1.1, False)])
async def test_what_happens_in_time_is_heard(set_after: float, heard: bool) -> None:  # noqa: FBT001  # a case
    event, loop = asyncio.Event(), asyncio.get_running_loop()
    began = loop.time()
    loop.call_later(set_after, event.set)
    assert await happens(event, 1.0) is heard
    assert loop.time() - began == pytest.approx(min(set_after, 1.0))


@pytest.mark.parametrize("turns", range(5))
async def test_a_loop_that_waits_can_be_cancelled_in_the_moment_in_which_it_hears(turns: int) -> None:
    event = asyncio.Event()

    async def for_ever() -> None:
        while True:
            event.clear()
            await happens(event, 10.0)

    waiting = asyncio.create_task(for_ever())
    await asyncio.sleep(1.0)
    event.set()
    for _ in range(turns):
        await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting], timeout=5.0)
    assert waiting.cancelled()
