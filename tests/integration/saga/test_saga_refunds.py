"""Parts of an order go back: what customers ask for over HTTP, and what becomes of it in all books."""

import asyncio
from collections.abc import Sequence
from typing import Any

import httpx

from sagactl.polling import until
from services.payment.payment import Payment
from tests.integration.saga.house import PATIENCE
from tests.integration.saga.probe import all_heard, ids
from tests.integration.saga.shop import Shop

Lines = Sequence[dict[str, Any]]


def line(product: str, quantity: int, restock: str = "return") -> dict[str, Any]:
    return {"productId": product, "quantity": quantity, "restock": restock}


async def ask(
    shop: Shop, order_id: str, key: str | None, lines: Lines | None, *, who: str = "alice"
) -> httpx.Response:
    """For a refund, with an Idempotency-Key of the order's own."""
    wanted = {"reason": "broken"} | ({} if lines is None else {"lines": lines})
    keyed = {} if key is None else {"Idempotency-Key": f"{key} of {order_id}"}
    headers = await shop.headers(who) | keyed
    return await shop.http.post(f"/api/orders/{order_id}/refund", json=wanted, headers=headers)


async def asked(shop: Shop, order_id: str, key: str, lines: Lines | None) -> str:
    """The id of the refund that was asked for."""
    answer = await ask(shop, order_id, key, lines)
    assert answer.status_code == 202, answer.text
    latest: str = answer.json()["refunds"][-1]["refundRequestId"]
    return latest


async def time_passes(shop: Shop, order_id: str) -> None:
    """The time has come to ask the gateway again for what it refused."""
    payments = shop.database("payment")[Payment.collection]
    past = {"$subtract": ["$$NOW", 1000]}
    await payments.update_one(
        {"_id": order_id},
        [{"$set": {"askAt": past, "version": {"$add": ["$version", 1]}, "refunds": _with_ask_at(past)}}],
    )


def _with_ask_at(past: dict[str, Any]) -> dict[str, Any]:
    """Of those that have a time."""
    each = {"$cond": [{"$ifNull": ["$$r.askAt", False]}, {"$mergeObjects": ["$$r", {"askAt": past}]}, "$$r"]}
    return {"$map": {"input": "$refunds", "as": "r", "in": each}}


async def test_parts_of_an_order_go_back_side_by_side_and_sum_to_the_cent(shop: Shop) -> None:
    lamp, cup = await shop.product(stock=5, price="9.99"), await shop.product(stock=5, price="100.01")
    order_id = await shop.place({lamp: 3, cup: 1})
    await shop.settles(order_id, "PAID")
    async with shop.listening() as heard:
        first, second = await asyncio.gather(
            asked(shop, order_id, "first", [line(lamp, 1)]),
            asked(shop, order_id, "second", [line(lamp, 1, "none"), line(cup, 1)]),
        )
        order = await shop.settles(order_id, "PAID")
        await all_heard(heard, order_id, ["ORDER_PARTIALLY_REFUNDED"])
    assert first != second
    assert len(ids(heard, "ORDER_PARTIALLY_REFUNDED", order_id)) == 2
    assert {(each["refundRequestId"], each["amount"], each["state"]) for each in order["refunds"]} == {
        (first, "9.99", "DONE"),
        (second, "110.00", "DONE"),
    }
    shown = {each["productId"]: each for each in order["products"]}
    assert (shown[lamp]["state"], shown[lamp]["refunded"], shown[lamp]["returned"]) == ("SOLD", 2, 1)
    assert (shown[cup]["state"], shown[cup]["refunded"], shown[cup]["returned"]) == ("RELEASED", 1, 1)
    # The lamp that does not come back stays sold.
    await shop.stock_becomes(lamp, (3, 0, 2))
    await shop.stock_becomes(cup, (5, 0, 0))
    rest = await asked(shop, order_id, "rest", None)
    order = await shop.settles(order_id, "REFUNDED")
    assert order["refunds"][-1] | {"reason": ""} == {
        "refundRequestId": rest,
        "lines": [line(lamp, 1)],
        "amount": "9.99",
        "state": "DONE",
        "reason": "",
        "refusal": None,
        "settledOutside": None,
    }
    await shop.stock_becomes(lamp, (4, 0, 1))
    assert await shop.ledger(order_id) == {"captured": 1, "refunded": 3}


async def test_a_refund_is_asked_for_once_by_its_key(shop: Shop) -> None:
    lamp = await shop.product(stock=5)
    order_id = await shop.place({lamp: 3})
    await shop.settles(order_id, "PAID")
    answers = await asyncio.gather(*(ask(shop, order_id, "one", [line(lamp, 1)]) for _ in range(5)))
    assert {answer.status_code for answer in answers} == {202}
    assert sum("idempotency-replayed" in answer.headers for answer in answers) == 4
    assert {len(answer.json()["refunds"]) for answer in answers} == {1}
    other = await ask(shop, order_id, "one", [line(lamp, 2)])
    assert (other.status_code, other.json()["code"]) == (422, "idempotency-key-reused")
    none = await ask(shop, order_id, None, [line(lamp, 1)])
    assert (none.status_code, none.json()["code"]) == (400, "idempotency-key-required")
    much = await ask(shop, order_id, "much", [line(lamp, 3)])
    assert (much.status_code, much.json()["code"]) == (409, "state-forbids")
    strange = await ask(shop, order_id, "strange", [line("strange", 1)])
    assert strange.status_code == 409
    twice = await ask(shop, order_id, "twice", [line(lamp, 1), line(lamp, 1)])
    assert twice.status_code == 422
    await shop.settles(order_id, "PAID")
    assert await shop.ledger(order_id) == {"captured": 1, "refunded": 1}
    await shop.stock_becomes(lamp, (3, 0, 2))


async def test_some_lines_are_cancelled_once_the_order_is_paid_and_not_while_it_is_charged(
    shop: Shop,
) -> None:
    lamp, cup = await shop.product(stock=5), await shop.product(stock=5)
    headers = await shop.headers("alice")
    some = {"reason": "too many", "lines": [{"productId": lamp, "quantity": 1}]}

    async def cancel(order_id: str) -> httpx.Response:
        keyed = headers | {"Idempotency-Key": order_id}
        return await shop.http.post(f"/api/orders/{order_id}/cancel", json=some, headers=keyed)

    async with shop.frozen("payment"):
        order_id = await shop.place({lamp: 2, cup: 1})
        await shop.is_at(order_id, "CONFIRMED")
        early = await cancel(order_id)
        assert (early.status_code, early.json()["code"]) == (409, "state-forbids")
    await shop.settles(order_id, "PAID")
    assert (await cancel(order_id)).status_code == 202
    order = await shop.settles(order_id, "PAID")
    assert [each["amount"] for each in order["refunds"]] == ["10.00"]
    await shop.stock_becomes(lamp, (4, 0, 1))


async def test_a_refund_that_the_gateway_refuses_is_shown_and_asked_again_until_it_is_made(
    shop: Shop,
) -> None:
    lamp = await shop.product(stock=5)
    order_id = await shop.place({lamp: 2}, card="tok_refund_refused")
    await shop.settles(order_id, "PAID")
    await asked(shop, order_id, "one", [line(lamp, 1)])
    order = await shop.becomes(order_id, lambda found: found["refunds"][0]["state"] == "REFUSED")
    assert order["refunds"][0]["refusal"] == "Mock gateway refused the refund"
    assert (order["settled"], order["compensation"]["refund"]) == (False, "pending")
    timeline = await shop.events_of(order_id)
    assert timeline[-2:] == ["REFUND_REQUESTED", "PAYMENT_REFUND_FAILED"]
    await time_passes(shop, order_id)

    async def refused_again() -> bool:
        payment = await shop.database("payment")[Payment.collection].find_one({"_id": order_id}) or {}
        refunds: list[dict[str, Any]] = payment.get("refunds", [])
        # What is as at first is not written.
        return [(each.get("attempt"), each.get("state")) for each in refunds] == [(1, "REFUSED")]

    await until(refused_again, within=PATIENCE, what="a second refusal")
    await time_passes(shop, order_id)
    await shop.settles(order_id, "PAID")
    assert await shop.ledger(order_id) == {"captured": 1, "refused": 2, "refunded": 1}
    await shop.stock_becomes(lamp, (4, 0, 1))


async def test_what_the_gateway_never_gives_back_is_settled_by_another_way(shop: Shop) -> None:
    lamp = await shop.product(stock=5)
    order_id = await shop.place({lamp: 2}, card="tok_refund_refused")
    await shop.settles(order_id, "PAID")
    refund_id = await asked(shop, order_id, "one", [line(lamp, 1)])
    url = f"/api/orders/{order_id}/refunds/{refund_id}/settled-outside"
    settled = {"reference": "transfer 7", "reason": "the card was closed"}
    await shop.becomes(order_id, lambda found: found["refunds"][0]["state"] == "REFUSED")
    assert (await shop.http.post(url, json=settled, headers=await shop.headers("alice"))).status_code == 403
    admin = await shop.headers("admin")
    strange = await shop.http.post(url.replace(refund_id, "strange"), json=settled, headers=admin)
    assert strange.status_code == 404
    for _ in range(2):
        assert (await shop.http.post(url, json=settled, headers=admin)).status_code == 202
    other = await shop.http.post(url, json=settled | {"reference": "transfer 8"}, headers=admin)
    assert other.status_code == 409
    order = await shop.settles(order_id, "PAID")
    (refund,) = order["refunds"]
    assert (refund["state"], refund["settledOutside"]) == ("DONE", "transfer 7")
    await shop.stock_becomes(lamp, (4, 0, 1))
    assert await shop.ledger(order_id) == {"captured": 1, "refused": 1}


async def test_while_older_services_run_orders_are_refunded_as_a_whole(shop: Shop) -> None:
    lamp = await shop.product(stock=5)
    async with shop.configured("order", PARTIAL_REFUNDS="false"):
        order_id = await shop.place({lamp: 2})
        await shop.settles(order_id, "PAID")
        some = await ask(shop, order_id, "some", [line(lamp, 1)])
        assert (some.status_code, some.json()["code"]) == (409, "state-forbids")
        assert (await ask(shop, order_id, None, None)).status_code == 202
        await shop.settles(order_id, "REFUNDED")


async def test_a_customer_may_ask_within_the_window_and_an_administrator_always(shop: Shop) -> None:
    lamp = await shop.product(stock=5)
    async with shop.configured("order", REFUND_WINDOW_SECONDS="0"):
        order_id = await shop.place({lamp: 2})
        await shop.settles(order_id, "PAID")
        late = await ask(shop, order_id, "late", [line(lamp, 1)])
        assert (late.status_code, late.json()["code"]) == (409, "state-forbids")
        assert (await ask(shop, order_id, "late", [line(lamp, 1)], who="admin")).status_code == 202
        await shop.settles(order_id, "PAID")
