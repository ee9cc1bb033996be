"""Polite customers: who is refused comes back when told, and nobody orders until then."""

import asyncio
import json
import math
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from prometheus_client import CollectorRegistry, generate_latest

from sagactl.access import SECRETS_DIR, URLS, NoAccessError
from sagactl.faults import UnavailableError, WrongError
from sagactl.load.command import books_of
from sagactl.load.customers import PATIENCE_SECONDS, Account
from sagactl.load.figures import RECENT_SECONDS, Figures, Outcome, outcome_of
from sagactl.load.generator import prepared
from sagactl.load.pace import REFUSED_SECONDS, Door, arrivals
from sagactl.load.port import serving
from sagactl.oncall.accepted import promises
from sagactl.shop import Client, Json, ShopError
from services.gateway.settings import GatewaySettings
from tests.ports import free_port

TOKEN_SECONDS = 900.0
BEGAN, ENDED = "2026-11-26T12:00:00+00:00", "2026-11-26T12:00:00.500000+00:00"
PAID = {"status": "PAID", "cancellationReason": None}


@dataclass
class Told:
    """What a shop of the test's own was asked, and when; `answer` raises what it answers instead."""

    answer: Callable[[float, str, str], None] = lambda *_: None
    settles: bool = True
    asked: list[tuple[float, str, str]] = field(default_factory=list)
    # By key, when each was asked for.
    orders: dict[str, list[float]] = field(default_factory=dict)
    products: set[str] = field(default_factory=set)

    def times(self, method: str, path: str) -> list[float]:
        return [at for at, *asked in self.asked if asked == [method, path]]


@dataclass(frozen=True)
class Scripted(Client):
    told: Told = field(default_factory=Told)

    async def _try(self, method: str, path: str, body: Mapping[str, Any] | None, key: str) -> Json:  # noqa: ARG002  # as the client has it
        now, told = asyncio.get_running_loop().time(), self.told
        told.asked.append((now, method, path))
        if (method, path) == ("POST", "/api/orders"):
            told.orders.setdefault(key, []).append(now)
        told.answer(now, method, path)
        match method, path:
            case "POST", "/auth/login" | "/auth/refresh":
                return {"accessToken": "token", "refreshToken": "next", "expiresIn": TOKEN_SECONDS}
            case "POST", "/api/products":
                told.products.add(f"product-{len(told.products)}")
                return {"productId": f"product-{len(told.products) - 1}"}
            case "DELETE", _:
                told.products.remove(path.rpartition("/")[2])
            case "POST", "/api/orders":
                return {"orderId": key}
            case "GET", _ if path.startswith("/api/orders/"):
                return {"settled": told.settles, "createdAt": BEGAN, "updatedAt": ENDED, **PAID}
            case "GET", _:
                return {"available": 1, "reserved": 0, "sold": 0}
        return {}


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


async def load(told: Told, registry: CollectorRegistry, rate: float, seconds: float) -> Figures:
    figures = Figures(registry, asyncio.get_running_loop().time, rate)
    async with aiohttp.ClientSession() as session:
        visitor = Scripted(session, told=told)
        administrator = Account.of(visitor, "admin@shop.example", "secret")
        async with prepared(visitor, administrator, rate, figures) as generator:
            # Always the same: two orders may else come so close that one is held back with the other.
            await generator.run(rate, seconds, asyncio.Event(), random.Random(1))
    return figures


def counted(registry: CollectorRegistry) -> dict[Outcome, int]:
    found = {
        outcome: registry.get_sample_value("sagashop_load_orders_total", {"outcome": outcome})
        for outcome in Outcome
    }
    return {outcome: int(number) for outcome, number in found.items() if number}


@pytest.mark.looptime
async def test_orders_are_placed_at_the_rate_that_was_asked_for_and_each_is_seen_to_its_end(
    registry: CollectorRegistry,
) -> None:
    told = Told()
    figures = await load(told, registry, rate=2, seconds=60)
    assert counted(registry) == {Outcome.SOLD: 120}
    assert set(figures.recent) == told.orders.keys()
    assert [len(times) for times in told.orders.values()] == [1] * 120
    assert told.products == set()
    assert figures.wrong == 0
    settled = "settled within 0.50 s (half of them), 0.50 s (99 %)"
    assert str(figures) == f"120 orders accepted, 120 sold, {settled}"


@pytest.mark.looptime
async def test_whoever_is_refused_comes_back_when_told_to_and_nobody_asks_for_anything_until_then(
    registry: CollectorRegistry,
) -> None:
    refused: list[float] = []

    def full_once(now: float, _: str, path: str) -> None:
        if path == "/api/orders" and now > 10 and not refused:
            refused.append(now)
            raise ShopError(429, "too many", retry_after=20)

    told = Told(full_once)
    figures = await load(told, registry, rate=2, seconds=60)
    [at] = refused
    assert [time for time, *_ in told.asked if at < time < at + 20 - 0.01] == []
    [again] = [times[1] for times in told.orders.values() if len(times) > 1]
    assert again == pytest.approx(at + 20, abs=0.01)
    found = counted(registry)
    assert found[Outcome.HELD_BACK] in {39, 40, 41}
    assert found[Outcome.SOLD] == 120 - found[Outcome.HELD_BACK] == len(figures.recent)
    assert registry.get_sample_value("sagashop_load_refusals_total", {"status": "429"}) == 1


@pytest.mark.looptime
async def test_an_order_without_an_answer_is_asked_for_again_by_its_own_key(
    registry: CollectorRegistry,
) -> None:
    def unheard(_: float, __: str, path: str) -> None:
        if path == "/api/orders" and len([key for key, times in told.orders.items() if len(times) == 1]) == 1:
            raise aiohttp.ServerDisconnectedError

    told = Told(unheard)
    figures = await load(told, registry, rate=0.1, seconds=60)
    assert len(told.orders) == len(figures.recent) == 6
    for first, second in told.orders.values():
        assert second - first == pytest.approx(REFUSED_SECONDS, abs=0.01)
    assert registry.get_sample_value("sagashop_load_refusals_total", {"status": "none"}) == 6


@pytest.mark.looptime
async def test_who_is_refused_for_a_minute_gives_up(registry: CollectorRegistry) -> None:
    def full(_: float, __: str, path: str) -> None:
        if path == "/api/orders":
            raise ShopError(503, "too much is under way", retry_after=1)

    told = Told(full)
    figures = await load(told, registry, rate=0.01, seconds=100)
    assert counted(registry) == {Outcome.GIVEN_UP: 1}
    [times] = told.orders.values()
    assert PATIENCE_SECONDS - 2 < times[-1] - times[0] <= PATIENCE_SECONDS
    assert figures.wrong == 0


@pytest.mark.looptime
async def test_an_accepted_order_that_is_gone_or_never_ends_is_wrong(registry: CollectorRegistry) -> None:
    def gone(_: float, __: str, path: str) -> None:
        if path.startswith("/api/orders/"):
            raise ShopError(404, "there is no such order")

    lost = await load(Told(gone), registry, rate=1, seconds=3)
    assert counted(registry) == {Outcome.LOST: 3}
    other = CollectorRegistry()
    late = await load(Told(settles=False), other, rate=1, seconds=3)
    assert counted(other) == {Outcome.LATE: 3}
    assert lost.wrong == late.wrong == 3


@pytest.mark.looptime
async def test_an_answer_that_nothing_excuses_ends_it_and_the_products_go(
    registry: CollectorRegistry,
) -> None:
    def refuses(_: float, __: str, path: str) -> None:
        if path == "/api/orders":
            raise ShopError(422, "no such card")

    told = Told(refuses)
    with pytest.raises(ExceptionGroup) as raised:
        await load(told, registry, rate=1, seconds=60)
    [error] = raised.value.exceptions
    assert isinstance(error, ShopError)
    assert told.products == set()


@pytest.mark.looptime
async def test_a_login_is_renewed_before_it_ends(registry: CollectorRegistry) -> None:
    told = Told()
    await load(told, registry, rate=0.1, seconds=3 * TOKEN_SECONDS)
    logins = told.times("POST", "/auth/login")
    assert len(logins) == 3, "of the administrator, and of a customer who registers, and comes back"
    renewed = [logins[-1], *told.times("POST", "/auth/refresh")]
    assert all(later - earlier < TOKEN_SECONDS for earlier, later in pairwise(renewed))
    assert len(renewed) > 4


@pytest.mark.looptime
async def test_no_customer_asks_for_as_much_as_the_gateway_lets_one(registry: CollectorRegistry) -> None:
    told = Told()
    await load(told, registry, rate=10, seconds=60)
    customers = len(told.times("POST", "/auth/register"))
    assert len(told.asked) / customers < GatewaySettings.model_fields["rate_limit_requests"].default


def test_orders_are_due_once_in_each_slot() -> None:
    assert [int(at * 4) for at in arrivals(4, 25, random.Random(1))] == list(range(100))
    assert len(list(islice(arrivals(4, math.inf, random.Random(1)), 1000))) == 1000


@pytest.mark.looptime
async def test_it_stops_when_it_is_told_to_and_sees_its_orders_to_their_end(
    registry: CollectorRegistry,
) -> None:
    figures, stop = Figures(registry, asyncio.get_running_loop().time, 2), asyncio.Event()
    async with aiohttp.ClientSession() as session:
        visitor = Scripted(session, told=Told())
        administrator = Account.of(visitor, "admin@shop.example", "secret")
        async with prepared(visitor, administrator, 2, figures) as generator:
            asyncio.get_running_loop().call_later(30, stop.set)
            await generator.run(2, math.inf, stop, random.Random(1))
    assert counted(registry) == {Outcome.SOLD: 60}


def test_a_door_opens_when_the_last_who_was_refused_was_told_to_come_back() -> None:
    now = 100.0
    door = Door(lambda: now)
    assert not door.closed
    door.refused(30)
    door.refused(0)
    now = 129.9
    assert door.closed
    now = 130.0
    assert not door.closed
    door.refused(0)
    assert door.closed
    now += REFUSED_SECONDS
    assert not door.closed


@pytest.mark.parametrize(
    ("status", "reason", "outcome"),
    [
        ("PAID", None, Outcome.SOLD),
        ("REFUNDED", None, Outcome.SOLD),
        ("CANCELLED", "PAYMENT_FAILED", Outcome.DECLINED),
        ("CANCELLED", "SAGA_TIMEOUT", Outcome.CANCELLED),
    ],
)
def test_what_came_of_an_order(status: str, reason: str | None, outcome: Outcome) -> None:
    assert outcome_of({"status": status, "cancellationReason": reason}) is outcome


def test_only_what_was_accepted_lately_is_told(registry: CollectorRegistry) -> None:
    now = 0.0
    figures = Figures(registry, lambda: now, 1)
    figures.accepted("first")
    now = RECENT_SECONDS
    figures.accepted("second")
    assert figures.recent == ["first", "second"]
    now += 1
    assert figures.recent == ["second"]


async def test_a_checker_is_told_what_was_accepted_and_prometheus_the_figures(
    registry: CollectorRegistry,
) -> None:
    figures, port = Figures(registry, lambda: 0.0, 1), free_port()
    url = f"http://127.0.0.1:{port}"
    with pytest.raises(UnavailableError, match="nobody tells which orders were accepted"):
        await promises(f"{url}/accepted", patience=0)
    async with serving("127.0.0.1", port, None, figures, registry), aiohttp.ClientSession(url) as session:

        async def get(path: str) -> tuple[int, str]:
            async with session.get(path) as answer:
                return answer.status, await answer.text()

        assert (await get("/healthz"))[0] == 200
        assert (await get("/readyz"))[0] == 503
        with pytest.raises(WrongError, match="no order was accepted within the last 15 minutes"):
            await promises(f"{url}/accepted")
        figures.accepted("order-1")
        figures.accepted("order-2")
        assert (await get("/readyz"))[0] == 200
        assert await promises(f"{url}/accepted") == ["order-1", "order-2"]
        assert await get("/metrics") == (200, generate_latest(registry).decode())


async def test_a_checker_that_is_not_let_in_yet_asks_again(registry: CollectorRegistry) -> None:
    figures, port = Figures(registry, lambda: 0.0, 1), free_port()
    figures.accepted("order-1")
    asked = asyncio.create_task(promises(f"http://127.0.0.1:{port}/accepted"))
    ended, _ = await asyncio.wait({asked}, timeout=1)
    assert not ended
    async with serving("127.0.0.1", port, None, figures, registry):
        assert await asked == ["order-1"]


async def test_a_file_tells_what_was_accepted_too(tmp_path: Path) -> None:
    file = tmp_path / "accepted"
    file.write_text("order-1\norder-2\n")
    assert await promises(str(file)) == ["order-1", "order-2"]


def described(directory: Path, gateway: str) -> Path:
    checker = {"mongodbUrl": "mongodb://here", "amqpUrl": "amqp://here", "managementUrl": "http://here"}
    stack = {"gateway": gateway, "checker": checker, "services": {"order": "http://here"}}
    (directory / "stack.json").write_text(json.dumps(stack | {"admin": {"email": "a", "password": "b"}}))
    return directory


def test_the_books_that_are_checked_are_those_of_the_shop_that_was_ordered_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (*URLS, *URLS.values(), SECRETS_DIR):
        monkeypatch.delenv(name, raising=False)
    stack = described(tmp_path, "http://shop.example")
    assert books_of(stack, "http://shop.example").mongodb_url == "mongodb://here"
    with pytest.raises(NoAccessError, match="set MONGODB_URL"):
        books_of(stack, "http://another.example")
    for name in URLS:
        monkeypatch.setenv(name, "amqp://elsewhere")
    assert books_of(None, "http://another.example").mongodb_url == "amqp://elsewhere"
