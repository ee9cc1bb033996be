"""A sweep carried out over HTTP, against an order service that answers, refuses, fails, hangs or is gone."""

import asyncio
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest
from aiohttp import web

from saga_operator.policy.orders import Endpoint, OrderService, OrderServiceError
from saga_operator.policy.policy import Outcome, Policy, StaleOrder, Sweep
from saga_operator.policy.sweep import carry_out
from tests.operator.order_service import TOKEN, FakeOrderService, Order

POLICY = Policy(stale_after=timedelta(minutes=5), pending_stale_after=timedelta(minutes=15))


def now() -> datetime:
    return datetime.now(UTC)


def client(
    session: aiohttp.ClientSession, url: str, token: str = TOKEN, timeout: float = 5.0
) -> OrderService:
    return OrderService(session, Endpoint(url, token, timedelta(seconds=timeout)))


async def serve(stack: AsyncExitStack, answer: web.StreamResponse) -> str:
    """Serve one answer to everything."""

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        await request.read()
        return answer

    runner = web.ServerRunner(web.Server(handle), shutdown_timeout=0.1)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    return f"http://127.0.0.1:{runner.addresses[0][1]}"


async def sweep_of(
    session: aiohttp.ClientSession, service: FakeOrderService, policy: Policy = POLICY
) -> Sweep:
    return await carry_out(client(session, service.url), policy, now)


async def test_stale_orders_are_compensated_oldest_first(
    session: aiohttp.ClientSession, order_service: FakeOrderService
) -> None:
    order_service.add_stale(3, age=timedelta(hours=1))
    order_service.add_stale(2, status="PENDING", age=timedelta(hours=2))
    order_service.orders["young"] = Order("CONFIRMED", now())
    sweep = await sweep_of(session, order_service)
    assert sweep.succeeded
    assert order_service.compensated == [
        "pending-0003", "pending-0004", "confirmed-0000", "confirmed-0001", "confirmed-0002",
    ]  # fmt: skip
    assert sweep.count(Outcome.COMPENSATED) == 5
    assert order_service.orders["young"].status == "CONFIRMED"


async def test_a_cap_defers_the_younger_orders_to_the_next_sweep(
    session: aiohttp.ClientSession, order_service: FakeOrderService
) -> None:
    order_service.add_stale(5)
    capped = Policy(stale_after=timedelta(minutes=5), max_per_sweep=2)
    first = await sweep_of(session, order_service, capped)
    assert (first.count(Outcome.COMPENSATED), first.deferred) == (2, 3)
    await sweep_of(session, order_service, capped)
    await sweep_of(session, order_service, capped)
    assert order_service.compensated == sorted(order_service.compensated)
    assert len(order_service.compensated) == 5


async def test_two_sweeps_at_once_compensate_each_order_once(
    session: aiohttp.ClientSession, order_service: FakeOrderService
) -> None:
    order_service.add_stale(20)
    order_service.delay = 0.005
    sweeps = await asyncio.gather(*(sweep_of(session, order_service) for _ in range(3)))
    assert sorted(order_service.compensated) == sorted(order_service.orders)
    assert sum(sweep.count(Outcome.COMPENSATED) for sweep in sweeps) == 20
    assert all(sweep.succeeded for sweep in sweeps)


async def test_an_order_that_moved_on_is_left_alone(
    session: aiohttp.ClientSession, order_service: FakeOrderService
) -> None:
    order_service.add_stale(1)
    orders = client(session, order_service.url)
    [listed] = await orders.stale("CONFIRMED", POLICY.stale_after)
    order_service.orders[listed.order_id].status = "PAID"
    assert await orders.compensate(listed, POLICY.stale_after) is Outcome.NOT_APPLICABLE
    assert order_service.orders[listed.order_id].status == "PAID"


async def test_one_bad_order_fails_and_the_others_are_compensated(
    session: aiohttp.ClientSession, order_service: FakeOrderService
) -> None:
    order_service.add_stale(4)
    order_service.failing = lambda path: "confirmed-0001" in path
    sweep = await sweep_of(session, order_service)
    assert (sweep.count(Outcome.FAILED), sweep.count(Outcome.COMPENSATED)) == (1, 3)
    assert sweep.failure is None
    assert not sweep.succeeded


async def test_a_service_that_fails_all_the_time_is_not_asked_for_every_order(
    session: aiohttp.ClientSession, order_service: FakeOrderService
) -> None:
    order_service.add_stale(50)
    order_service.failing = lambda path: path.endswith("/compensate")
    sweep = await sweep_of(session, order_service)
    assert (sweep.count(Outcome.FAILED), sweep.deferred) == (3, 47)
    assert sweep.failure is not None
    assert sweep.failure.reason == "ServerError"


async def test_a_sweep_told_to_stop_does_so_after_the_order_in_hand(
    session: aiohttp.ClientSession, order_service: FakeOrderService
) -> None:
    order_service.add_stale(10)
    sweep = await carry_out(
        client(session, order_service.url), POLICY, now, keep_on=lambda: len(order_service.asked) < 4
    )
    assert len(order_service.compensated) == sweep.count(Outcome.COMPENSATED) == 4
    assert sweep.deferred == 6
    assert sweep.succeeded


async def test_a_wrong_token_is_refused_as_such(
    session: aiohttp.ClientSession, order_service: FakeOrderService
) -> None:
    sweep = await carry_out(client(session, order_service.url, token="wrong"), POLICY, now)
    assert sweep.found is None
    assert sweep.failure is not None
    assert sweep.failure.reason == "Unauthorized"


async def test_nobody_there_is_told_as_a_failed_connection(session: aiohttp.ClientSession) -> None:
    sweep = await carry_out(client(session, "http://127.0.0.1:1"), POLICY, now)
    assert sweep.failure is not None
    assert sweep.failure.reason == "ConnectionFailed"


async def test_a_service_that_hangs_is_given_up_on_after_the_timeout(
    session: aiohttp.ClientSession, order_service: FakeOrderService
) -> None:
    order_service.delay = 30
    with pytest.raises(OrderServiceError, match=r"no answer within 0\.05 s") as caught:
        await client(session, order_service.url, timeout=0.05).stale("CONFIRMED", POLICY.stale_after)
    assert caught.value.failure.reason == "Timeout"


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (200, "<html>", "BadAnswer"),
        (200, "null", "BadAnswer"),
        (200, '{"orders": [{"orderId": "a"}]}', "BadAnswer"),
        (
            200,
            '{"orders": [{"orderId": "a", "status": "CONFIRMED", "stateSince": "2026-01-01T00:00:00"}]}',
            "BadAnswer",
        ),
        (403, "", "Forbidden"),
        (404, "", "Rejected"),
        (503, "", "ServerError"),
    ],
)
async def test_an_answer_that_is_none_is_told_by_its_kind(
    session: aiohttp.ClientSession, stack: AsyncExitStack, status: int, body: str, reason: str
) -> None:
    url = await serve(stack, web.Response(status=status, text=body))
    with pytest.raises(OrderServiceError) as caught:
        await client(session, url).stale("CONFIRMED", POLICY.stale_after)
    assert caught.value.failure.reason == reason


async def test_an_unknown_outcome_of_a_compensation_is_a_failure_and_not_taken_for_one(
    session: aiohttp.ClientSession, stack: AsyncExitStack
) -> None:
    url = await serve(stack, web.json_response({"outcome": "perhaps"}))
    with pytest.raises(OrderServiceError, match="perhaps"):
        await client(session, url).compensate(StaleOrder("a", "CONFIRMED", now()), POLICY.stale_after)


async def test_a_redirect_is_not_followed_lest_the_token_be_carried_away(
    session: aiohttp.ClientSession, stack: AsyncExitStack, order_service: FakeOrderService
) -> None:
    url = await serve(stack, web.Response(status=307, headers={"Location": order_service.url}))
    with pytest.raises(OrderServiceError, match="answered 307"):
        await client(session, url).stale("CONFIRMED", POLICY.stale_after)
    assert order_service.listings == 0


def test_a_token_shows_in_no_representation() -> None:
    assert "secret" not in repr(Endpoint("http://order", "secret"))
