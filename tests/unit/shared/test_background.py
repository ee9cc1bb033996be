"""A part of a process that ends while it should run ends the process, however it ends."""

import asyncio
import signal
from collections.abc import Iterator
from contextlib import suppress

import pytest

from services.shared import waiting
from services.shared.health import Background


@pytest.fixture
def terminations() -> Iterator[list[int]]:
    """The signals by which the process was ended."""
    received: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: received.append(number))
    yield received
    signal.signal(signal.SIGTERM, before)


async def forever() -> None:
    await asyncio.Event().wait()


async def dies() -> None:
    raise RuntimeError("no more")


async def ends() -> None:
    await asyncio.sleep(0)


async def cancels_itself() -> None:
    """As a client library does that ends a connection by cancelling whoever waits for it."""
    raise asyncio.CancelledError


async def a_moment() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("part", "why"),
    [(dies, "RuntimeError('no more')"), (ends, "ended"), (cancels_itself, "was cancelled")],
    ids=["dies", "ends", "is cancelled"],
)
async def test_a_part_that_is_no_more_ends_the_process(
    part: object, why: str, terminations: list[int]
) -> None:
    background = Background()
    background.run(forever(), "another")
    background.run(part(), "part")  # type: ignore[operator]  # one of the above
    await a_moment()
    assert background.failure is not None
    assert background.failure.startswith("part ")
    assert why in background.failure
    assert terminations == [signal.SIGTERM]
    await background.stop()


async def test_work_that_may_end_ends_without_notice(terminations: list[int]) -> None:
    background = Background()
    background.run_once(ends(), "once")
    await a_moment()
    assert (background.failure, terminations) == (None, [])
    background.run_once(cancels_itself(), "once more")
    await a_moment()
    assert background.failure == "once more was cancelled"
    await background.stop()


async def test_stopping_is_no_failure(terminations: list[int]) -> None:
    background = Background()
    background.run(forever(), "part")
    await a_moment()
    await background.stop()
    assert (background.failure, terminations) == (None, [])


async def test_a_part_that_swallows_a_cancellation_is_stopped_all_the_same(
    terminations: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "AGAIN_SECONDS", 0.01)

    async def deaf_once() -> None:
        with suppress(asyncio.CancelledError):
            await forever()
        await forever()

    background = Background()
    background.run(deaf_once(), "part")
    await a_moment()
    async with asyncio.timeout(2):
        await background.stop()
    assert (background.failure, terminations) == (None, [])
