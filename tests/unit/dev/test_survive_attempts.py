"""Each attempt is found again by what it ordered, and read by its answer as a customer would."""

import asyncio
import random
from collections.abc import AsyncIterator
from itertools import pairwise

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from dev.survive.attempts import ATTEMPTS_AT_MOST, Outcome, body_of, end_of, number_of, outcome_of
from dev.survive.traffic import Traffic

PRODUCTS = [f"product-{number}" for number in range(8)]


def lines(number: int) -> list[dict[str, object]]:
    body = body_of(number, PRODUCTS)
    pairs = zip(body["ids"], body["quantities"], strict=True)
    return [{"productId": id_, "quantity": quantity} for id_, quantity in pairs]


@given(st.integers(0, ATTEMPTS_AT_MOST - 1))
def test_the_lines_of_an_order_tell_which_attempt_made_it(number: int) -> None:
    assert number_of(lines(number)) == number


@given(st.integers(0, ATTEMPTS_AT_MOST - 1))
def test_an_attempt_orders_two_different_products_in_quantities_that_the_shop_takes(number: int) -> None:
    body = body_of(number, PRODUCTS)
    assert len(set(body["ids"])) == 2
    assert all(1 <= quantity <= 1000 for quantity in body["quantities"])


def test_an_order_of_another_shape_is_nobodys() -> None:
    with pytest.raises(ValueError, match="1 lines"):
        number_of([{"productId": "lamp", "quantity": 1}])


def test_one_card_in_ten_is_declined_and_its_order_is_cancelled() -> None:
    ends = [(body_of(number, PRODUCTS)["paymentToken"], end_of(number)) for number in range(20)]
    assert ends.count(("tok_declined", "CANCELLED")) == 2
    assert ends.count(("tok_success", "PAID")) == 18


@pytest.mark.parametrize(
    ("status", "document", "outcome"),
    [
        (201, {"orderId": "1"}, Outcome.ACCEPTED),
        (503, {"detail": "the database is unavailable"}, Outcome.REFUSED),
        (503, {"outcome": "unknown"}, Outcome.UNKNOWN),
        (502, {}, Outcome.UNKNOWN),
        (504, {}, Outcome.UNKNOWN),
        (500, {}, Outcome.WRONG),
        (200, {}, Outcome.WRONG),
        (422, {"outcome": "unknown"}, Outcome.WRONG),
    ],
)
def test_what_a_customer_concludes_from_an_answer(
    status: int, document: dict[str, str], outcome: Outcome
) -> None:
    assert outcome_of(status, document) is outcome


class Shop:
    """Refuses each second order, and hangs up on those named."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, list[int]]] = []
        self.hangs_up_on: set[int] = set()

    async def order(self, request: web.Request) -> web.Response:
        quantities = (await request.json())["quantities"]
        self.asked.append((request.headers["Authorization"], quantities))
        if len(self.asked) in self.hangs_up_on:
            assert request.transport is not None
            request.transport.abort()
        if len(self.asked) % 2 == 0:
            return web.json_response({"detail": "busy"}, status=503, headers={"Retry-After": "0.01"})
        return web.json_response({"orderId": f"order-{len(self.asked)}"}, status=201)


@pytest_asyncio.fixture
async def shop() -> AsyncIterator[tuple[Shop, Traffic]]:
    kept = Shop()
    application = web.Application()
    application.router.add_post("/api/orders", kept.order)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    door = f"http://127.0.0.1:{runner.addresses[0][1]}"
    async with aiohttp.ClientSession() as session:
        yield kept, Traffic(session, [door], ["a", "b"], PRODUCTS, random.Random(1))
    await runner.cleanup()


async def test_who_is_refused_tries_again_with_a_new_order(shop: tuple[Shop, Traffic]) -> None:
    kept, traffic = shop
    await traffic.burst(6, customers=1)
    outcomes = [attempt.outcome for attempt in traffic.attempts]
    assert outcomes == [Outcome.ACCEPTED, Outcome.REFUSED] * 3
    assert [attempt.order_id for attempt in traffic.accepted] == ["order-1", "order-3", "order-5"]
    assert all(before != after for (_, before), (_, after) in pairwise(kept.asked))


async def test_customers_order_until_they_are_sent_home(shop: tuple[Shop, Traffic]) -> None:
    kept, traffic = shop
    async with traffic.flowing(40), asyncio.timeout(10):
        while len(kept.asked) < 20:
            await asyncio.sleep(0.01)
    assert {token for token, _ in kept.asked} == {"Bearer a", "Bearer b"}
    assert len(traffic.attempts) == len(kept.asked)


async def test_without_an_answer_nobody_knows_and_without_a_listener_nothing_was_done(
    shop: tuple[Shop, Traffic],
) -> None:
    kept, traffic = shop
    kept.hangs_up_on = {1}
    await traffic.burst(1, customers=1)
    traffic.doors = ["http://127.0.0.1:1"]
    await traffic.burst(1, customers=1)
    assert [attempt.outcome for attempt in traffic.attempts] == [Outcome.UNKNOWN, Outcome.REFUSED]
