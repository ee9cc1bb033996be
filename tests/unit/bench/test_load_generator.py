"""The load generator: what it counts, on a shop that is as slow as we like."""

import asyncio
import itertools
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from bench.load import Load, Site, arrivals, offer, order_of

Answer = Callable[[int], Awaitable[int]]


@asynccontextmanager
async def a_shop(answer: Answer, heads: list[bytes] | None = None) -> AsyncIterator[Site]:
    """Each request is answered with the status that `answer` gives for its number, when it gives it.

    What came before its body is added to `heads`.
    """
    numbers = itertools.count()
    serving: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        serving.add(task)
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                if heads is not None:
                    heads.append(head)
                length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
                await reader.readexactly(length)
                number = next(numbers)
                status = await answer(number)
                body = json.dumps({"orderId": str(number)}).encode()
                writer.write(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body))
        except asyncio.IncompleteReadError:
            writer.close()
            await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        yield Site([f"http://127.0.0.1:{port}"], ["token"], ["product"])
        if serving:
            await asyncio.wait(serving)


async def created(_number: int) -> int:
    return 201


def test_a_fixed_rate_has_one_order_in_each_slot() -> None:
    due = list(arrivals(100, 50, random.Random(7)))
    assert [int(seconds * 50) for seconds in due] == list(range(100))


async def test_at_a_fixed_rate_orders_do_not_wait_for_each_others_answers() -> None:
    release = asyncio.Event()
    waiting = 0

    async def when_all_have_come(_number: int) -> int:
        nonlocal waiting
        waiting += 1
        if waiting == 30:
            release.set()
        await asyncio.wait_for(release.wait(), 5)
        return 201

    async with a_shop(when_all_have_come) as site:
        offered = await offer(site, Load(30, rate=300))
    assert len(offered.ids) == 30
    assert offered.connections == 30


async def test_at_a_fixed_rate_latency_counts_from_when_an_order_was_due(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All are due at once, as after a stall of the load generator: the last was not sent in time."""
    monkeypatch.setattr("bench.load.arrivals", lambda *_: iter([-1.0] * 5))
    async with a_shop(created) as site:
        offered = await offer(site, Load(5, rate=5))
    assert min(offered.posts) >= 1
    assert min(offered.lags) >= 1


async def test_at_a_fixed_rate_who_is_refused_gives_up() -> None:
    async def every_other(number: int) -> int:
        return 503 if number % 2 else 201

    async with a_shop(every_other) as site:
        offered = await offer(site, Load(20, rate=400))
    assert (len(offered.ids), len(offered.refusals)) == (10, 10)
    assert offered.refused_share == 0.5


async def test_a_client_that_waits_for_answers_comes_back_after_a_503(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("bench.load.COME_BACK_SECONDS", 0.01)

    async def not_at_first(number: int) -> int:
        return 201 if number > 3 else 503

    async with a_shop(not_at_first) as site:
        offered = await offer(site, Load(6, clients=2))
    assert (len(offered.ids), len(offered.refusals)) == (6, 4)
    assert max(offered.posts) >= 0.01  # from the first attempt


async def test_orders_go_to_all_urls_in_turn() -> None:
    numbers: list[list[int]] = [[], []]

    def counting(place: int) -> Answer:
        async def count(number: int) -> int:
            numbers[place].append(number)
            return 201

        return count

    async with a_shop(counting(0)) as first, a_shop(counting(1)) as second:
        both = first._replace(urls=[*first.urls, *second.urls])
        await offer(both, Load(20, clients=4))
    assert all(numbers)
    assert sum(map(len, numbers)) == 20


def test_an_order_has_as_many_lines_as_asked_for_and_its_part_is_declined() -> None:
    site = Site(["http://x"], ["token"], [str(number) for number in range(100)], lines=50, declined=0.5)
    chance = random.Random(7)
    bodies = [json.loads(order_of(site, "token", chance).partition(b"\r\n\r\n")[2]) for _ in range(100)]
    assert {len(set(body["ids"])) for body in bodies} == {50}
    assert 30 < sum(body["paymentToken"] == "tok_declined" for body in bodies) < 70


async def test_any_other_answer_ends_the_run() -> None:
    async def broken(_number: int) -> int:
        return 500

    async with a_shop(broken) as site:
        with pytest.RaisesGroup(pytest.RaisesExc(RuntimeError, match="answered 500")):
            await offer(site, Load(1, rate=100))


async def test_a_load_that_outlasts_tokens_goes_on_with_new_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.load.RENEW_SECONDS", 0.05)
    asked = 0

    async def renewed() -> list[str]:
        nonlocal asked
        asked += 1
        return [f"token-{asked}"]

    heads: list[bytes] = []
    async with a_shop(created, heads) as site:
        await offer(site, Load(30, rate=100), renewed)
    tokens = [head.partition(b"Bearer ")[2].partition(b"\r\n")[0].decode() for head in heads]
    assert asked >= 2
    assert list(dict.fromkeys(tokens)) in (
        ["token", *(f"token-{number}" for number in range(1, asked + 1))],
        ["token", *(f"token-{number}" for number in range(1, asked))],  # the last was told at the end
    )


@pytest.mark.parametrize("load", [Load(1000, rate=100), Load(1_000_000, clients=2)])
async def test_a_load_ends_with_why_there_are_no_new_tokens(
    monkeypatch: pytest.MonkeyPatch, load: Load
) -> None:
    """Not with the 401 that follows."""
    monkeypatch.setattr("bench.load.RENEW_SECONDS", 0.05)

    async def renewed() -> list[str]:
        raise ConnectionError("auth is away")

    heads: list[bytes] = []
    async with a_shop(created, heads) as site:
        with pytest.raises(ConnectionError, match="auth is away"):
            await offer(site, load, renewed)
    assert len(heads) < load.orders
