"""The seven stories of an order, each shown and then held against what must be true after it."""

import asyncio

from dev.demo.scene import Scene, confirmed, given_back, refunded, settled, to_be_agreed

STALE_AFTER_SECONDS = 1.0


async def happy_path(scene: Scene) -> None:
    scene.stage.headline(
        "1. Happy path", "Stock is reserved, the card is charged, and the reserved stock is sold."
    )
    before = await scene.stock(scene.teapot), await scene.stock(scene.cup)
    order = await scene.play(scene.alice, {scene.teapot: 1, scene.cup: 4}, "tok_success")
    (teapots, _, sold), (cups, _, cups_sold) = before
    scene.stage.expect("the order is PAID", holds=order["status"] == "PAID")
    await scene.stock_becomes(scene.teapot, (teapots - 1, 0, sold + 1))
    await scene.stock_becomes(scene.cup, (cups - 4, 0, cups_sold + 4))
    payment = await scene.alice.payment(order["orderId"]) or {}
    scene.stage.expect(
        f"the card was charged {payment.get('amount')} {payment.get('currency')}",
        holds=(payment.get("status"), payment.get("amount")) == ("CAPTURED", order["totalPrice"]),
    )
    await scene.mail_comes(f"Your order {order['orderId']} is paid")


async def out_of_stock(scene: Scene) -> None:
    scene.stage.headline(
        "2. Out of stock",
        "One line is out of stock, so the other is not reserved either, and no card is charged.",
    )
    teapots, cups = await scene.stock(scene.teapot), await scene.stock(scene.cup)
    order = await scene.play(scene.bob, {scene.cup: 2, scene.teapot: teapots[0] + 1}, "tok_success")
    scene.stage.expect(
        f"the order is CANCELLED: {order['cancellationReason']}", holds=order["status"] == "CANCELLED"
    )
    await scene.stock_becomes(scene.teapot, teapots)
    await scene.stock_becomes(scene.cup, cups)


async def payment_declined(scene: Scene) -> None:
    scene.stage.headline(
        "3. Payment declined", "The order service asks for the stock to be released: compensation."
    )
    cups = await scene.stock(scene.cup)
    order = await scene.play(scene.bob, {scene.cup: 3}, "tok_declined")
    scene.stage.expect(
        f"the order is CANCELLED: {order['cancellationReason']}", holds=order["status"] == "CANCELLED"
    )
    scene.stage.expect("its stock was returned", holds=order["compensation"]["stock"] == "done")
    await scene.stock_becomes(scene.cup, cups)


async def asked_first(scene: Scene) -> None:
    scene.stage.headline(
        "4. The customer must confirm the payment",
        "The payment is decided later. Until then the stock is held, and the order shows its customer"
        " where to confirm.",
    )
    teapots = await scene.stock(scene.teapot)
    order_id = await scene.place(scene.alice, {scene.teapot: 1}, "tok_action")
    order = await scene.follow(scene.alice, order_id, to_be_agreed)
    scene.stage.say(f"the customer confirms at {order['nextAction']['url']}")
    seen = await scene.admin.order(order_id)
    scene.stage.expect("nobody else sees this address, not even administrators", holds=not seen["nextAction"])
    await scene.stock_becomes(scene.teapot, (teapots.available - 1, 1, teapots.sold))
    order = await scene.follow(scene.alice, order_id, settled)
    scene.stage.expect("the order is PAID", holds=order["status"] == "PAID")
    await scene.stock_becomes(scene.teapot, (teapots.available - 1, 0, teapots.sold + 1))


async def part_of_an_order(scene: Scene) -> None:
    scene.stage.headline(
        "5. Partial refund",
        "Two of four cups are refunded, exact to the cent. Then they are back in stock, and can be "
        "sold again.",
    )
    cups = await scene.stock(scene.cup)
    order = await scene.play(scene.bob, {scene.teapot: 1, scene.cup: 4}, "tok_success")
    order_id = order["orderId"]
    await scene.bob.refund(order_id, "two are cracked", {scene.cup: 2})
    scene.stage.say("Bob wants his money back for 2 cup(s)")
    order = await scene.follow(scene.bob, order_id, given_back)
    (refund,) = order["refunds"]
    scene.stage.expect(
        f"{refund['amount']} of {order['totalPrice']} are refunded", holds=refund["amount"] == "6.50"
    )
    scene.stage.expect("the order stays PAID", holds=order["status"] == "PAID")
    await scene.stock_becomes(scene.cup, (cups.available - 2, 0, cups.sold + 2))
    await scene.mail_comes(f"A part of your order {order_id} is refunded")


async def auto_compensation(scene: Scene) -> None:
    scene.stage.headline(
        "6. Auto compensation",
        "With COMPENSATION_AUTO, inventory reacts to the failed payment by itself. The order service "
        "is frozen meanwhile, and then finds the work done.",
    )
    await scene.stack.restart("inventory", {"COMPENSATION_AUTO": "true"})
    cups = await scene.stock(scene.cup)
    order_id = await scene.place(scene.alice, {scene.cup: 5}, "tok_declined")
    await scene.follow(scene.alice, order_id, confirmed)
    scene.stack.pause("order")
    scene.stage.say("the order service is frozen (SIGSTOP)")
    await scene.stock_becomes(scene.cup, cups)
    scene.stack.resume("order")
    scene.stage.say("the order service continues")
    order = await scene.follow(scene.alice, order_id, settled)
    scene.stage.expect(
        f"the order is CANCELLED: {order['cancellationReason']}", holds=order["status"] == "CANCELLED"
    )
    await scene.stock_becomes(scene.cup, cups)


async def late_payment(scene: Scene) -> None:
    scene.stage.headline(
        "7. Saga timeout, and a late payment",
        "The charge takes seconds. A sweep finds the order stale and compensates it. Then the capture"
        " succeeds, and is refunded, once.",
    )
    teapots = await scene.stock(scene.teapot)
    order_id = await scene.place(scene.bob, {scene.teapot: 1}, "tok_slow")
    await scene.follow(scene.bob, order_id, confirmed)
    await _sweep(scene, order_id)
    order = await scene.follow(scene.bob, order_id, refunded)
    scene.stage.expect(
        f"the order stays CANCELLED: {order['cancellationReason']}", holds=order["status"] == "CANCELLED"
    )
    payment = await scene.bob.payment(order_id) or {}
    scene.stage.expect("the payment is REFUNDED", holds=payment.get("status") == "REFUNDED")
    events = [entry["event"] for entry in await scene.bob.timeline(order_id)]
    scene.stage.expect("there was one refund", holds=events.count("PAYMENT_REFUNDED") == 1)
    await scene.stock_becomes(scene.teapot, teapots)


FLOWS = (
    happy_path,
    out_of_stock,
    payment_declined,
    asked_first,
    part_of_an_order,
    auto_compensation,
    late_payment,
)


async def _sweep(scene: Scene, order_id: str) -> None:
    """Do by hand what the operator does: list the stale orders, and have this one compensated, twice."""
    await asyncio.sleep(STALE_AFTER_SECONDS)
    scene.stage.expect(
        "the order is listed as stale", holds=order_id in await scene.stale(STALE_AFTER_SECONDS)
    )
    wish = {"reason": "SAGA_TIMEOUT", "status": "CONFIRMED", "olderThan": STALE_AFTER_SECONDS}
    path = f"/internal/orders/{order_id}/compensate"
    outcomes = [(await scene.operator.call("POST", path, wish))["outcome"] for _ in range(2)]
    scene.stage.expect(
        f"compensating it twice: {' and '.join(outcomes)}", holds=outcomes == ["compensated", "already"]
    )
