"""Every way that an order can go, through the front door of an installed shop."""

import json
from http import HTTPStatus
from typing import Any
from uuid import uuid4

import pytest

from sagactl.polling import until
from sagactl.shop import Client, ShopError
from tests.e2e.release import CommandError, Release


async def test_helm_test_buys_something(release: Release) -> None:
    said = await release.test()
    assert "Phase:          Succeeded" in said
    assert "is PAID" in said


async def test_a_paid_order_takes_its_goods_out_of_stock(customer: Client, admin: Client) -> None:
    tea, cup = await admin.add_product(5), await admin.add_product(5, price="3.50")
    order = await customer.place({tea: 2, cup: 1})
    assert (order["status"], order["totalPrice"]) == ("PENDING", "23.48")
    assert (await customer.settled(order["orderId"]))["status"] == "PAID"
    await admin.stock_becomes(tea, (3, 0, 2))
    await admin.stock_becomes(cup, (4, 0, 1))
    payment = await customer.payment(order["orderId"])
    assert payment is not None
    assert (payment["status"], payment["amount"], payment["currency"]) == ("CAPTURED", "23.48", "EUR")


async def test_a_declined_card_cancels_the_order_and_gives_the_goods_back(
    customer: Client, admin: Client
) -> None:
    tea = await admin.add_product(5)
    order = await customer.place({tea: 2}, "tok_declined")
    assert (await customer.settled(order["orderId"]))["status"] == "CANCELLED"
    await admin.stock_becomes(tea, (5, 0, 0))


async def test_an_order_that_cannot_be_served_in_full_reserves_nothing(
    customer: Client, admin: Client
) -> None:
    tea, cup = await admin.add_product(5), await admin.add_product(1)
    order = await customer.place({tea: 2, cup: 2})
    assert (await customer.settled(order["orderId"]))["status"] == "CANCELLED"
    await admin.stock_becomes(tea, (5, 0, 0))
    payment = await customer.payment(order["orderId"])
    assert payment is None or payment["status"] == "VOIDED"


async def test_an_order_in_part_sells_what_is_there(customer: Client, admin: Client) -> None:
    tea, cup = await admin.add_product(5), await admin.add_product(1)
    order = await customer.place({tea: 2, cup: 2}, fulfilment="partial")
    ended = await customer.settled(order["orderId"])
    assert (ended["status"], ended["totalPrice"]) == ("PAID", "19.98")
    await admin.stock_becomes(cup, (1, 0, 0))


async def test_a_refund_gives_money_and_goods_back(customer: Client, admin: Client) -> None:
    tea = await admin.add_product(5)
    order = await customer.place({tea: 2})
    await customer.settled(order["orderId"])
    await customer.refund(order["orderId"], "too green")
    assert (await customer.at(order["orderId"], "REFUNDED"))["settled"]
    payment = await customer.payment(order["orderId"])
    assert payment is not None
    assert payment["status"] == "REFUNDED"
    await admin.stock_becomes(tea, (5, 0, 0))


async def test_the_goods_of_a_paid_order_are_sent_and_arrive(
    release: Release, customer: Client, admin: Client
) -> None:
    tea = await admin.add_product(5)
    order_id = (await customer.place({tea: 2}))["orderId"]
    await customer.settled(order_id)
    url = f"/api/fulfilments/{order_id}"

    async def state() -> str | None:
        """None while fulfilment has not heard of it."""
        try:
            return str((await admin.call("GET", url))["state"])
        except ShopError as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return None
            raise

    await until(state, lambda found: found == "READY", within=60, what="a shipment")
    await admin.call("POST", f"{url}/ship", {"carrier": "DHL"}, key=uuid4().hex)
    await until(state, lambda found: found == "SHIPPED", within=60, what="the order's answer")
    assert (await admin.call("POST", f"{url}/deliver", key=uuid4().hex))["state"] == "DELIVERED"

    async def explained() -> Any:
        said = await release.tool("sh", "-c", f"python -m sagactl explain {order_id} -o json || true")
        return json.loads(said)

    told = await until(explained, lambda found: found["verdict"] == "settled", within=60, what="settled")
    arrived = {hop["type"] for hop in told["hops"] if hop["state"] == "done"}
    assert arrived >= {"SHIPMENT_REQUEST", "SHIPMENT_APPROVED", "ORDER_SHIPPED", "ORDER_DELIVERED"}


async def test_an_order_cancelled_while_the_card_is_slow_is_paid_back_or_never_charged(
    customer: Client, admin: Client
) -> None:
    tea = await admin.add_product(5)
    order = await customer.place({tea: 1}, "tok_slow")
    await customer.at(order["orderId"], "CONFIRMED")
    await customer.cancel(order["orderId"])
    assert (await customer.settled(order["orderId"]))["status"] == "CANCELLED"
    await until(
        lambda: customer.payment(order["orderId"]),
        lambda payment: payment is not None and payment["status"] in {"REFUNDED", "VOIDED"},
        within=60,
        what="a payment that is over",
    )
    await admin.stock_becomes(tea, (5, 0, 0))


async def test_a_payment_gateway_in_trouble_only_delays(customer: Client, admin: Client) -> None:
    tea = await admin.add_product(5)
    order = await customer.place({tea: 1}, "tok_error")
    assert (await customer.settled(order["orderId"]))["status"] == "PAID"


async def test_the_same_request_again_is_the_same_order(customer: Client, admin: Client) -> None:
    tea = await admin.add_product(5)
    body = {"ids": [tea], "quantities": [1], "paymentToken": "tok_success"}
    key = uuid4().hex
    first = await customer.call("POST", "/api/orders", body, key=key)
    again = await customer.call("POST", "/api/orders", body, key=key)
    assert again["orderId"] == first["orderId"]
    await customer.settled(first["orderId"])
    await admin.stock_becomes(tea, (4, 0, 1))


async def test_a_stranger_sees_nothing_of_an_order(customer: Client, visitor: Client, admin: Client) -> None:
    tea = await admin.add_product(5)
    order = await customer.place({tea: 1})
    stranger = await visitor.register()
    with pytest.raises(ShopError) as refused:
        await stranger.order(order["orderId"])
    assert refused.value.status == HTTPStatus.NOT_FOUND
    with pytest.raises(ShopError) as refused:
        await visitor.order(order["orderId"])
    assert refused.value.status == HTTPStatus.UNAUTHORIZED


async def test_an_order_is_one_trace_from_the_door_to_its_end(
    release: Release, customer: Client, admin: Client
) -> None:
    tea = await admin.add_product(5)
    order = await customer.place({tea: 1})
    await customer.settled(order["orderId"])
    timeline = await customer.call("GET", f"/api/orders/{order['orderId']}/timeline")
    [trace] = {entry["traceId"] for entry in timeline["items"]}
    jaeger = f"/api/v1/namespaces/{release.namespace}/services/{release.name}-jaeger:query/proxy"

    async def services() -> set[str]:
        try:
            found = json.loads(await release.kubectl("get", "--raw", f"{jaeger}/api/traces/{trace}"))
        except CommandError:  # no span of it has arrived yet
            return set()
        return {process["serviceName"] for each in found["data"] for process in each["processes"].values()}

    await until(services, {"gateway", "order", "inventory", "payment"}.issubset, within=30, what="the trace")
