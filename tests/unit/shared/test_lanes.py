"""A domain that keeps the mail server waiting holds up no other; virtual time."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from services.shared.contract.decisions import Deferred
from services.shared.mail.lanes import LONG_SECONDS, SUSPECTED_SECONDS, Hung, Lanes

pytestmark = pytest.mark.looptime
TIMEOUT = 30.0


def now() -> float:
    return asyncio.get_running_loop().time()


class Post:
    """Mails that take so long, and how each of them ended, and when."""

    def __init__(self, connections: int = 4) -> None:
        self._lanes = Lanes(connections)
        self.at_once = self.most_at_once = 0

    async def mail(self, domain: str, seconds: float) -> str:
        """`sent`, `hung` or `put off`."""
        try:
            async with self._lanes.turn(domain):
                self.at_once += 1
                self.most_at_once = max(self.most_at_once, self.at_once)
                try:
                    await asyncio.sleep(min(seconds, TIMEOUT))
                    if seconds > TIMEOUT:
                        raise Hung("no answer")
                finally:
                    self.at_once -= 1
        except Hung:
            return "hung"
        except Deferred:
            return "put off"
        return "sent"


async def timed(work: Coroutine[Any, Any, str]) -> tuple[str, float]:
    began = now()
    return await work, round(now() - began, 3)


async def test_no_more_mails_are_under_way_than_there_are_connections() -> None:
    post = Post(connections=4)
    ends = await asyncio.gather(*(post.mail(f"{n}.example", 1) for n in range(20)))
    assert (ends, post.most_at_once) == (["sent"] * 20, 4)
    assert now() == pytest.approx(5)


async def test_one_domain_gets_half_of_the_connections_and_waits_while_it_goes_well() -> None:
    post = Post(connections=4)
    ends = await asyncio.gather(*(post.mail("busy.example", 1) for _ in range(20)))
    assert (ends, post.most_at_once) == (["sent"] * 20, 2)
    assert now() == pytest.approx(10)


async def test_a_tarpit_slows_no_other_domain() -> None:
    post = Post(connections=4)
    async with asyncio.TaskGroup() as group:
        stuck = [group.create_task(timed(post.mail("tarpit.example", 1000))) for _ in range(200)]
        await asyncio.sleep(0.1)
        others = [group.create_task(timed(post.mail(f"{n}.example", 0.1))) for n in range(40)]
    # The two connections that are left do them at their own pace.
    assert {end for end, _ in map(asyncio.Task.result, others)} == {"sent"}
    assert max(seconds for _, seconds in map(asyncio.Task.result, others)) == pytest.approx(2.0)
    ends = [each.result() for each in stuck]
    assert sorted(ends) == [("hung", TIMEOUT)] * 2 + [("put off", LONG_SECONDS)] * 198


async def test_a_domain_that_hung_gets_one_try_at_a_time_and_nobody_waits_for_it() -> None:
    post = Post(connections=4)
    await post.mail("tarpit.example", 1000)
    ends = await asyncio.gather(*(timed(post.mail("tarpit.example", 1000)) for _ in range(3)))
    assert sorted(ends) == [("hung", TIMEOUT), ("put off", 0.0), ("put off", 0.0)]


async def test_a_domain_that_answers_again_is_no_longer_suspected_after_a_while() -> None:
    post = Post(connections=4)
    await post.mail("tarpit.example", 1000)
    await asyncio.sleep(SUSPECTED_SECONDS)
    assert await asyncio.gather(*(post.mail("tarpit.example", 1) for _ in range(4))) == ["sent"] * 4


async def test_whoever_stops_waiting_leaves_their_place() -> None:
    post = Post(connections=2)
    first = asyncio.create_task(post.mail("a.example", 2))
    await asyncio.sleep(0.1)
    second = asyncio.create_task(post.mail("a.example", 2))
    await asyncio.sleep(0.1)
    second.cancel()
    assert await first == "sent"
    assert await timed(post.mail("a.example", 1)) == ("sent", 1.0)
