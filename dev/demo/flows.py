"""The five stories of an order, each shown and then held against what must be true after it."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

from dev.demo.stage import Stage
from dev.stack import Stack
from sagactl.polling import NotInTimeError
from sagactl.shop import Client, Json, Stock

STALE_AFTER_SECONDS = 1.0


@dataclass(frozen=True)
class Scene:
    stack: Stack
    stage: Stage
    admin: Client
    alice: Client
    bob: Client
    teapot: str  # product ids
    cup: str
    accepted: list[str]  # ids of the orders that were answered 201

    async def stock(self, product_id: str) -> Stock:
        return await self.admin.stock(product_id)


async def happy_path(scene: Scene) -> None:
    scene.stage.headline(
        "1. Happy path", "Stock is reserved, the card charged, and what was reserved is sold."
    )
    before = await scene.stock(scene.teapot), await scene.stock(scene.cup)
    order = await _play(scene, scene.alice, {scene.teapot: 1, scene.cup: 4}, "tok_success")
    (teapots, _, sold), (cups, _, cups_sold) = before
    scene.stage.expect("the order is PAID", holds=order["status"] == "PAID")
    await _stock_becomes(scene, scene.teapot, (teapots - 1, 0, sold + 1))
    await _stock_becomes(scene, scene.cup, (cups - 4, 0, cups_sold + 4))
    payment = await scene.alice.payment(order["orderId"]) or {}
    scene.stage.expect(
        f"the card was charged {payment.get('amount')} {payment.get('currency')}",
        holds=(payment.get("status"), payment.get("amount")) == ("CAPTURED", order["totalPrice"]),
    )


async def out_of_stock(scene: Scene) -> None:
    scene.stage.headline(
        "2. Out of stock",
        "One line is out of stock, so the other is not held either, and no card is charged.",
    )
    teapots, cups = await scene.stock(scene.teapot), await scene.stock(scene.cup)
    order = await _play(scene, scene.bob, {scene.cup: 2, scene.teapot: teapots[0] + 1}, "tok_success")
    scene.stage.expect(
        f"the order is CANCELLED: {order['cancellationReason']}", holds=order["status"] == "CANCELLED"
    )
    await _stock_becomes(scene, scene.teapot, teapots)
    await _stock_becomes(scene, scene.cup, cups)


async def payment_declined(scene: Scene) -> None:
    scene.stage.headline(
        "3. Payment declined", "The order service asks for the stock to be released: compensation."
    )
    cups = await scene.stock(scene.cup)
    order = await _play(scene, scene.bob, {scene.cup: 3}, "tok_declined")
    scene.stage.expect(
        f"the order is CANCELLED: {order['cancellationReason']}", holds=order["status"] == "CANCELLED"
    )
    scene.stage.expect("its stock was given back", holds=order["compensation"]["stock"] == "done")
    await _stock_becomes(scene, scene.cup, cups)


async def auto_compensation(scene: Scene) -> None:
    scene.stage.headline(
        "4. Auto compensation",
        "With COMPENSATION_AUTO inventory reacts to the failed payment by itself. The order service is frozen"
        " while it does, and finds the work done.",
    )
    await scene.stack.restart("inventory", {"COMPENSATION_AUTO": "true"})
    cups = await scene.stock(scene.cup)
    order_id = await _place(scene, scene.alice, {scene.cup: 5}, "tok_declined")
    await scene.stage.follow(scene.alice, order_id, _title(scene.alice, order_id), _confirmed)
    scene.stack.pause("order")
    scene.stage.say("the order service is frozen (SIGSTOP)")
    await _stock_becomes(scene, scene.cup, cups)
    scene.stack.resume("order")
    scene.stage.say("the order service goes on")
    order = await scene.stage.follow(scene.alice, order_id, _title(scene.alice, order_id), _settled)
    scene.stage.expect(
        f"the order is CANCELLED: {order['cancellationReason']}", holds=order["status"] == "CANCELLED"
    )
    await _stock_becomes(scene, scene.cup, cups)


async def late_payment(scene: Scene) -> None:
    scene.stage.headline(
        "5. Saga timeout, and the payment arrives after all",
        "The card takes seconds. The sweep finds the order stale and compensates it; then the capture"
        " comes through, and is refunded, once.",
    )
    teapots = await scene.stock(scene.teapot)
    order_id = await _place(scene, scene.bob, {scene.teapot: 1}, "tok_slow")
    title = _title(scene.bob, order_id)
    await scene.stage.follow(scene.bob, order_id, title, _confirmed)
    operator = replace(scene.admin, url=scene.stack.services["order"])  # /internal is not for the gateway
    await _sweep(scene, operator, order_id)
    order = await scene.stage.follow(scene.bob, order_id, title, _refunded)
    scene.stage.expect(
        f"the order stays CANCELLED: {order['cancellationReason']}", holds=order["status"] == "CANCELLED"
    )
    payment = await scene.bob.payment(order_id) or {}
    scene.stage.expect("the payment is REFUNDED", holds=payment.get("status") == "REFUNDED")
    events = [entry["event"] for entry in await scene.bob.timeline(order_id)]
    scene.stage.expect("there was one refund", holds=events.count("PAYMENT_REFUNDED") == 1)
    await _stock_becomes(scene, scene.teapot, teapots)


FLOWS = (happy_path, out_of_stock, payment_declined, auto_compensation, late_payment)


async def _sweep(scene: Scene, operator: Client, order_id: str) -> None:
    """Do by hand what the operator does: list the stale orders, and have this one compensated, twice."""
    await asyncio.sleep(STALE_AFTER_SECONDS)
    query = f"status=CONFIRMED&olderThan={STALE_AFTER_SECONDS}"
    stale = (await operator.call("GET", f"/internal/orders/stale?{query}"))["orders"]
    scene.stage.expect("the order is listed as stale", holds=order_id in [each["orderId"] for each in stale])
    wish = {"reason": "SAGA_TIMEOUT", "status": "CONFIRMED", "olderThan": STALE_AFTER_SECONDS}
    path = f"/internal/orders/{order_id}/compensate"
    outcomes = [(await operator.call("POST", path, wish))["outcome"] for _ in range(2)]
    scene.stage.expect(
        f"compensating it twice: {' and '.join(outcomes)}", holds=outcomes == ["compensated", "already"]
    )


async def _play(scene: Scene, shopper: Client, quantities: Mapping[str, int], payment_token: str) -> Json:
    """Place an order and show it to its end."""
    order_id = await _place(scene, shopper, quantities, payment_token)
    return await scene.stage.follow(shopper, order_id, _title(shopper, order_id), _settled)


async def _place(scene: Scene, shopper: Client, quantities: Mapping[str, int], payment_token: str) -> str:
    names = {scene.teapot: "teapot(s)", scene.cup: "cup(s)"}
    order = await shopper.place(quantities, payment_token)
    scene.accepted.append(order["orderId"])
    wanted = " and ".join(f"{quantity} {names[product]}" for product, quantity in quantities.items())
    scene.stage.say(
        f"{shopper.name} orders {wanted}: {order['totalPrice']} {order['currency']}, {payment_token}"
    )
    return str(order["orderId"])


async def _stock_becomes(scene: Scene, product_id: str, wanted: tuple[int, int, int]) -> None:
    """The order settles a moment before inventory has heard of it, so this waits a little."""
    with suppress(NotInTimeError):
        await scene.admin.stock_becomes(product_id, wanted, within=10)
    found = await scene.stock(product_id)
    name = "teapots" if product_id == scene.teapot else "cups"
    scene.stage.expect(
        f"{name}: {found.available} available, {found.reserved} reserved, {found.sold} sold",
        holds=found == wanted,
    )


def _title(shopper: Client, order_id: str) -> str:
    return f"{shopper.name}'s order {order_id}"


def _confirmed(order: Json) -> bool:
    return bool(order["status"] == "CONFIRMED")


def _settled(order: Json) -> bool:
    return bool(order["settled"])


def _refunded(order: Json) -> bool:
    return bool(order["settled"] and order["compensation"]["refund"] == "done")
