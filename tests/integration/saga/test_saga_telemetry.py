"""What an operator sees of a running shop: traces, metrics and logs."""

import json
from uuid import uuid4

from prometheus_client.parser import text_string_to_metric_families

from sagactl.polling import until
from sagactl.shop import Json
from services.shared.contract.events import CONSUMES, OPTIONAL
from tests.integration.saga.house import PATIENCE
from tests.integration.saga.probe import HAPPY, all_heard, of_the_saga
from tests.integration.saga.shop import Shop

HOPS = {
    ("gateway", "POST /api/orders"),
    ("order", "POST /api/orders"),
    ("inventory", "inventory INVENTORY_RESERVE_REQUEST"),
    ("order", "orders INVENTORY_RESERVED"),
    ("payment", "STOCK_RESERVED ORDER_CONFIRMED"),
    ("order", "order-events PAYMENT_SUCCEEDED"),
    ("inventory", "inventory-events ORDER_PAID"),
    ("notification", "notifications ORDER_PAID"),
}
# Of every engine; the gateway and auth have the first alone.
METRICS = (
    "sagashop_http_request_duration_seconds",
    "sagashop_commit_batch_size",
    "sagashop_commit_duration_seconds",
    "sagashop_transactions",
    "sagashop_duplicates",
    "sagashop_attention",
    "sagashop_consumed",
    "sagashop_consumer_retries",
    "sagashop_dead_letters",
    "sagashop_published",
    "sagashop_publish_failures",
    "sagashop_outbox_rows",
    "sagashop_outbox_oldest_seconds",
    "sagashop_broker_connected",
)
OF_ORDERS = (
    "sagashop_orders",
    "sagashop_saga_duration_seconds",
    "sagashop_compensations",
    "sagashop_refunds",
)


async def test_an_order_is_one_trace_from_the_gateway_to_the_last_service(shop: Shop) -> None:
    lamp = await shop.product()
    order_id = await shop.place({lamp: 1})
    await shop.settles(order_id, "PAID")
    trace_id = await trace_of(shop, order_id)

    async def missing() -> set[object]:
        """Hops, and spans whose children came before them: each service sends its own when it likes."""
        spans = shop.house.traces.of(trace_id)
        parents = {span.parent_id for span in spans if span.parent_id}
        hops = HOPS - {(span.service, span.name) for span in spans}
        return {*hops, *(parents - {span.span_id for span in spans})}

    await until(missing, lambda found: not found, within=PATIENCE, what="the whole trace")
    assert {span.trace_id for span in shop.house.traces.about(order_id)} == {trace_id}
    roots = [span for span in shop.house.traces.of(trace_id) if not span.parent_id]
    assert [(root.service, root.name) for root in roots] == [("gateway", "POST /api/orders")]


async def trace_of(shop: Shop, order_id: str) -> str:
    """The timeline's; the order is created, reserved and paid in the same."""
    url = f"/api/orders/{order_id}/timeline"
    items = (await shop.http.get(url, headers=await shop.headers("admin"))).json()["items"]
    (trace_id,) = {item["traceId"] for item in items}
    return str(trace_id)


async def test_the_trace_of_a_proxy_of_ours_goes_on_through_the_whole_order(shop: Shop) -> None:
    """As the gateway hands it on where its TRUSTED_TRACES says so: this one asks the order service itself."""
    lamp = await shop.product()
    trace_id = "4bf92f3577b34da6a3ce929d0e0e4736"
    headers = await shop.headers("alice") | {
        "traceparent": f"00-{trace_id}-00f067aa0ba902b7-01",
        "tracestate": "vendor=opaque,other=1",
    }
    wanted = {"ids": [lamp], "quantities": [1], "paymentToken": "tok_success"}
    async with shop.listening() as heard:
        order = shop.stack.services["order"]
        answer = await shop.http.post(f"{order}/api/orders", json=wanted, headers=headers)
        order_id = answer.json()["orderId"]
        await shop.settles(order_id, "PAID")
        await all_heard(heard, order_id, HAPPY)
    assert await trace_of(shop, order_id) == trace_id
    states = [message.headers.get("tracestate") for message in of_the_saga(heard, order_id)]
    request_id = answer.headers["x-request-id"]
    assert states == [f"sagashop={request_id},vendor=opaque,other=1"] * 5


async def test_every_service_has_its_metrics(shop: Shop) -> None:
    lamp = await shop.product()
    await shop.settles(await shop.place({lamp: 1}), "PAID")
    for service, url in shop.stack.services.items():
        text = (await shop.http.get(f"{url}/metrics")).text
        engine = service not in {"gateway", "auth"}
        expected = METRICS if engine else METRICS[:1]
        for name in (*expected, *(OF_ORDERS if service == "order" else ())):
            assert f"# TYPE {name}" in text, (service, name)
    assert await shop.metric("order", "sagashop_consumed_total", queue="orders", result="applied") > 0
    assert await shop.metric("inventory", "sagashop_commit_batch_size_count") > 0
    assert await shop.metric("order", "sagashop_http_request_duration_seconds_count", route="/api/orders") > 0


async def test_the_first_dead_letter_of_a_queue_is_an_increase(shop: Shop) -> None:
    for service in CONSUMES.keys() - OPTIONAL:
        queues = CONSUMES[service]
        text = (await shop.http.get(f"{shop.stack.services[service]}/metrics")).text
        for queue in queues:
            assert f'sagashop_dead_letters_total{{kind="failed",queue="{queue}"}} ' in text


async def test_no_label_takes_a_value_that_a_client_chooses(shop: Shop) -> None:
    """Whatever is sent, to whatever address: the shop has the series that it had."""
    mark = uuid4().hex

    async def send(number: int) -> None:
        path, method = f"/{mark}/{number}", ("GET", "POST", "PURGE", "MKCOL")[number % 4]
        headers = await shop.headers("alice") | {
            "user-agent": f"{mark}-{number}",
            "x-request-id": f"{mark}-{number}",
            "x-forwarded-for": f"10.0.0.{number}",
            "idempotency-key": f"{mark}-{number}",
        }
        await shop.http.request(method, path, headers=headers)
        await shop.http.request(method, f"/api/orders{path}", headers=headers)
        await shop.http.get(f"/api/products/{mark}-{number}", headers=headers)
        await shop.http.get("/api/orders", params={"status": f"{mark}{number}"}, headers=headers)
        wanted = {"ids": [f"{mark}-{number}"], "quantities": [1], "currency": f"X{number}"}
        await shop.http.post("/api/orders", json=wanted, headers=headers)
        login = {"email": f"{mark}-{number}@example.com", "password": f"{mark} {number}"}
        await shop.http.post("/auth/login", json=login, headers=headers)

    async def labelled() -> set[tuple[str, str, str]]:
        """Metric, label and value, but for the bounds of buckets."""
        texts = [(await shop.http.get(f"{replica.url}/metrics")).text for replica in shop.stack.replicas]
        return {
            (sample.name, label, value)
            for text in texts
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            for label, value in sample.labels.items()
            if sample.name.startswith("sagashop_") and label != "le"
        }

    for number in range(4):
        await send(number)
    before = await labelled()
    for number in range(4, 24):
        await send(number)
    after = await labelled()
    assert ("sagashop_http_request_duration_seconds_count", "method", "other") in before
    assert after - before == set()
    assert not [value for _, _, value in after if mark in value]


async def test_logs_are_json_that_names_the_order_and_its_trace(shop: Shop) -> None:
    """Here the document of its stock cannot be read: the message is tried again, and that is logged."""
    lamp = await shop.product()
    stock = shop.database("inventory")["stock"]
    await stock.update_one({"_id": lamp}, {"$set": {"available": "many"}})
    broken = await shop.place({lamp: 1})

    async def is_logged() -> bool:
        return bool(logged(shop, broken))

    await until(is_logged, within=PATIENCE, what="is logged")
    await stock.update_one({"_id": lamp}, {"$set": {"available": 10}})
    await shop.settles(broken, "PAID")
    line = logged(shop, broken)[0]
    assert line["service"] == "inventory"
    assert line["level"] == "warning"
    assert line["trace_id"] == await trace_of(shop, broken)
    assert line["event_id"]
    assert line["timestamp"].endswith("Z")
    assert "retry.1" in line["message"]


def logged(shop: Shop, order_id: str) -> list[Json]:
    """Every line of the inventory's logs is JSON; these are about the order."""
    files = [shop.stack.processes.log(name) for name in shop.replicas("inventory")]
    lines = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    return [line for line in lines if line.get("order_id") == order_id and "retry" in line["message"]]


async def test_secrets_are_in_no_log(shop: Shop) -> None:
    lamp = await shop.product()
    await shop.settles(await shop.place({lamp: 1}), "PAID")
    secrets = [
        "tok_success",
        str(shop.stack.admin["password"]),
        *shop.stack.credentials.users.values(),
        (await shop.headers("alice"))["Authorization"].removeprefix("Bearer "),
    ]
    for replica in shop.stack.replicas:
        text = shop.stack.processes.log(replica.name).read_text()
        assert not [secret for secret in secrets if secret in text], replica.name
