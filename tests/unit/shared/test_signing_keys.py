"""Keys that cannot be had: who asks meanwhile is told at once."""

import asyncio

import pytest

from services.shared.http.auth import KeysUnavailable, Tokens


async def test_before_the_first_keys_a_failure_holds_for_all_who_wait_and_for_a_second() -> None:
    asked = 0
    go_on = asyncio.Event()

    async def hangs() -> bytes:
        nonlocal asked
        asked += 1
        await go_on.wait()
        raise KeysUnavailable("the auth service does not answer")

    tokens = Tokens(hangs, "shop", "shop")
    waiting = [asyncio.create_task(tokens.prepare()) for _ in range(10)]
    await asyncio.sleep(0)
    go_on.set()
    answers = await asyncio.gather(*waiting, return_exceptions=True)
    assert [str(answer) for answer in answers] == ["the auth service does not answer"] * 10
    with pytest.raises(KeysUnavailable):
        await tokens.user("Bearer a.b.c")
    assert asked == 1
