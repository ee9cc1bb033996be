"""The life of an order in the logs: a line per step in every service, and one per request that failed."""

import json
from typing import Final, TypeAlias

from sagactl.polling import until
from sagactl.shop import Json
from tests.integration.saga.house import PATIENCE
from tests.integration.saga.shop import Shop
from tests.integration.saga.test_saga_telemetry import trace_of

# What a line says: event, from, to, reason.
Told: TypeAlias = tuple[str, str | None, str, str]
GIVEN_BACK = "its stock is given back"
# Service -> its lines, in their order.
DECLINED: Final[dict[str, list[Told]]] = {
    "order": [
        ("ORDER_CREATED", None, "PENDING", "{total}"),
        ("INVENTORY_RESERVED", "PENDING", "CONFIRMED", ""),
        (
            "PAYMENT_FAILED",
            "CONFIRMED",
            "CANCELLED",
            "PAYMENT_FAILED: Mock gateway declined the payment; its stock is to be given back",
        ),
        ("INVENTORY_RELEASED", "CANCELLED", "CANCELLED", GIVEN_BACK),
    ],
    "inventory": [
        ("INVENTORY_RESERVE_REQUEST", None, "HELD", ""),
        ("INVENTORY_RELEASE_REQUEST", "HELD", "RELEASED", "PAYMENT_FAILED"),
    ],
    "payment": [
        ("ORDER_CONFIRMED", None, "CAPTURING", "{total}"),
        ("ORDER_CONFIRMED", "CAPTURING", "DECLINED", "Mock gateway declined the payment"),
    ],
    "notification": [("ORDER_CANCELLED", None, "RECORDED", "for the customer")],
}


async def test_a_declined_order_leaves_its_story_in_the_logs_of_every_service(shop: Shop) -> None:
    lamp = await shop.product()
    headers = await shop.headers("alice") | {"X-Request-ID": "declined-1"}
    wanted = {"ids": [lamp], "quantities": [2], "paymentToken": "tok_declined"}
    answer = (await shop.http.post("/api/orders", json=wanted, headers=headers)).json()
    order_id = answer["orderId"]
    await shop.settles(order_id, "CANCELLED")
    total = f"{answer['totalPrice']} {answer['currency']}"
    expected = {
        service: [(event, was, to, reason.format(total=total)) for event, was, to, reason in steps]
        for service, steps in DECLINED.items()
    }

    async def told_of_it() -> dict[str, list[Told]]:
        return {service: steps(shop, service, order_id) for service in DECLINED}

    await until(told_of_it, lambda told: told == expected, within=PATIENCE, what="the story")
    told = [line for service in DECLINED for line in about(shop, service, order_id)]
    assert {line["level"] for line in told} == {"info"}
    assert {line["request_id"] for line in told} == {"declined-1"}
    assert {line["trace_id"] for line in told} == {await trace_of(shop, order_id)}
    assert told[1]["message"] == "PENDING -> CONFIRMED on INVENTORY_RESERVED"


async def test_a_payment_gateway_that_does_not_answer_is_a_warning(shop: Shop) -> None:
    lamp = await shop.product()
    order_id = await shop.place({lamp: 1}, card="tok_error")
    await shop.settles(order_id, "PAID")
    deferred = [line for line in about(shop, "payment", order_id) if "deferred" in line["message"]]
    assert deferred
    assert {line["level"] for line in deferred} == {"warning"}


async def test_a_request_that_fails_is_one_line_of_who_refused_it(shop: Shop) -> None:
    headers = await shop.headers("alice") | {"X-Request-ID": "refused-1"}
    wanted = {"ids": ["no-such-product"], "quantities": [1]}
    answer = await shop.http.post("/api/orders", json=wanted, headers=headers)
    assert answer.headers["x-request-id"] == "refused-1"
    line = await the_request(shop, "order", "refused-1")
    assert line["level"] == "info"
    assert (line["method"], line["route"], line["status"]) == ("POST", "/api/orders", 422)
    assert line["detail"] == answer.json()["detail"] == "ids.0: there is no product no-such-product"
    assert line["duration_ms"] > 0
    assert line["trace_id"]
    assert requests(shop, "gateway", "refused-1") == []


async def test_what_the_gateway_refuses_is_its_own_line(shop: Shop) -> None:
    answer = await shop.http.get("/api/orders/o-1", headers={"X-Request-ID": "refused-2"})
    line = await the_request(shop, "gateway", "refused-2")
    assert (line["path"], line["status"], line["detail"]) == ("/api/orders/o-1", 401, answer.json()["detail"])
    assert requests(shop, "order", "refused-2") == []


async def test_what_goes_well_and_what_machines_ask_for_is_no_line(shop: Shop) -> None:
    lamp = await shop.product()
    headers = {"X-Request-ID": "well-1"}
    assert (await shop.http.get(f"/api/products/{lamp}", headers=headers)).is_success
    for service, url in shop.stack.services.items():
        probe = await shop.http.get(f"{url}/healthz", headers=headers)
        assert probe.headers["x-request-id"] == "well-1", service
        assert requests(shop, service, "well-1") == []


async def the_request(shop: Shop, service: str, request_id: str) -> Json:
    """The one line of it. It is written when the answer is sent."""

    async def lines() -> list[Json]:
        return requests(shop, service, request_id)

    (line,) = await until(lines, within=PATIENCE, what="the line of the request")
    return line


def logged(shop: Shop, service: str) -> list[Json]:
    """Every line of a service's logs is JSON. Of all its replicas, by time."""
    files = [shop.stack.processes.log(name) for name in shop.replicas(service)]
    lines = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    return sorted(lines, key=lambda line: str(line["timestamp"]))


def about(shop: Shop, service: str, order_id: str) -> list[Json]:
    return [line for line in logged(shop, service) if line.get("order_id") == order_id]


def steps(shop: Shop, service: str, order_id: str) -> list[Told]:
    lines = [line for line in about(shop, service, order_id) if "to" in line]
    return [(line["event"], line["from"], line["to"], line["reason"]) for line in lines]


def requests(shop: Shop, service: str, request_id: str) -> list[Json]:
    """Those that failed."""
    return [line for line in logged(shop, service) if line.get("request_id") == request_id]
