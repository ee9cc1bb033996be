"""Webhooks of the notification service on real servers: made, sent in order, tried again, replayed.

One service for all of it: to start one takes longer than most of these tests.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, NamedTuple

import httpx
import pytest
import pytest_asyncio
from cloudevents.core.bindings.http import HTTPMessage, from_structured_event
from pymongo.errors import AutoReconnect
from standardwebhooks import Webhook, WebhookVerificationError

from dev.stack import Stack
from sagactl.polling import until
from services.notification import courier, deliveries, queries
from services.notification.domain import Notification
from services.notification.endpoints import Endpoint
from services.notification.main import make_app
from services.notification.queries import DELIVERIES
from tests.integration.issuer import Issuer, issuing
from tests.integration.receiver import Authority, authority, receiving
from tests.integration.room import PATIENCE, Room, make_room, running
from tests.integration.webhooks import PAID, REFUNDED, Shop, settings

ALL = [PAID, REFUNDED]
pytestmark = pytest.mark.asyncio(loop_scope="module")


class Service(NamedTuple):
    room: Room
    issuer: Issuer
    client: httpx.AsyncClient


@pytest.fixture(scope="module")
def believed() -> Iterator[Authority]:
    with authority() as found:
        yield found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def service(servers: Stack, believed: Authority) -> AsyncIterator[Service]:
    async with (
        make_room(servers) as room,
        issuing() as issuer,
        running(make_app(settings(room, issuer, believed))) as client,
    ):
        yield Service(room, issuer, client)


@pytest_asyncio.fixture(loop_scope="module")
async def shop(service: Service, believed: Authority) -> AsyncIterator[Shop]:
    """With a receiver of the test's own; nothing is left there of what tests before did."""
    database = service.room.database("notification")
    for name in (Endpoint.collection, DELIVERIES, Notification.collection):
        await database[name].delete_many({})
    async with receiving(believed.context) as receiver:
        yield Shop(service.room, service.client, service.issuer, receiver)


@pytest.fixture(autouse=True)
def _lively(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks often: a test takes less time."""
    monkeypatch.setattr(courier, "LOOK_SECONDS", 0.1)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What fails is tried each second, for as long as a test may take."""
    monkeypatch.setattr(deliveries, "DELAYS", (timedelta(seconds=1),) * 10_000)


# --- what is sent -----------------------------------------------------------------------------------------


async def test_what_happens_is_sent_signed_and_as_a_cloud_event(shop: Shop) -> None:
    endpoint = await shop.endpoint("/ok")
    event_id = await shop.paid("o1")
    (call,) = await shop.calls("/ok", 1)
    event = from_structured_event(HTTPMessage(call.headers, call.body))
    assert (event.get_id(), event.get_type(), event.get_subject()) == (event_id, ALL[0], "o1")
    assert event.get_source() == "https://shop.example/api/orders/o1"
    assert event.get_extension("sequence") == "0000000003"
    told = Webhook(endpoint["secret"]).verify(call.body, call.headers)
    assert told["data"]["totalPrice"] == "9.99"
    assert "ada@" not in call.body.decode()
    (delivery,) = await shop.are(endpoint, "DELIVERED", 1)
    assert (delivery["deliveryId"], delivery["status"], delivery["attempts"]) == (call.id, 204, 1)


async def test_an_event_that_comes_twice_is_one_delivery_and_each_endpoint_has_its_own(shop: Shop) -> None:
    first, second = await shop.endpoint("/ok"), await shop.endpoint("/switch", types=ALL[1:])
    id_ = await shop.paid("o1")
    (delivery,) = await shop.are(first, "DELIVERED", 1)
    told = {
        "orderId": "o1",
        "sequence": 3,
        "email": "ada@customer.example",
        "totalPrice": "9.99",
        "currency": "EUR",
        "products": [{"productId": "p1", "quantity": 1}],
    }
    body = json.dumps({"type": "ORDER_PAID", "data": told}).encode()
    await shop.room.publish("saga.events", "ORDER_PAID", body, message_id=id_)
    await shop.refunded("o1")
    await shop.are(first, "DELIVERED", 2)
    (other,) = await shop.are(second, "DELIVERED", 1)
    assert [call.event["type"] for call in shop.receiver.to("/ok")] == ALL
    assert [call.event["type"] for call in shop.receiver.to("/switch")] == ALL[1:]
    assert other["deliveryId"] not in {delivery["deliveryId"], *(each.id for each in shop.receiver.to("/ok"))}


@pytest.mark.usefixtures("impatient")
async def test_an_orders_events_are_sent_one_at_a_time_in_their_order(shop: Shop) -> None:
    """The second waits for the first, which is tried again; another order's does not."""
    shop.receiver.does = 500
    endpoint = await shop.endpoint("/switch")
    await shop.paid("o1", sequence=3)
    await shop.calls("/switch", 1)
    await shop.refunded("o1", sequence=9)
    await shop.are(endpoint, "WAITING", 2)
    await shop.paid("o2")
    await until(
        lambda: _subjects(shop), lambda found: "o2" in found, within=PATIENCE, what="the other order's"
    )
    shop.receiver.does = 204
    await shop.are(endpoint, "DELIVERED", 3)
    sent = [call.event["type"] for call in shop.receiver.to("/switch") if call.event["subject"] == "o1"]
    # Whatever was tried how often: the first until it was taken, and then the second, once.
    assert sent[-1] == ALL[1]
    assert set(sent[:-1]) == {ALL[0]}
    ids = {call.id for call in shop.receiver.to("/switch") if call.event["type"] == ALL[0]}
    assert len(ids) == 2


async def _subjects(shop: Shop) -> set[str]:
    return {call.event["subject"] for call in shop.receiver.to("/switch")}


async def test_one_that_does_not_answer_holds_up_no_other(shop: Shop) -> None:
    dead, alive = await shop.endpoint("/hang"), await shop.endpoint("/ok")
    await asyncio.gather(*(shop.paid(f"o{number}") for number in range(40)))
    await shop.are(alive, "DELIVERED", 40)
    assert len({call.event["subject"] for call in shop.receiver.to("/ok")}) == 40
    assert await shop.deliveries(dead, state="DELIVERED") == []
    # No more than its share.
    assert shop.receiver.most["/hang"] <= 4
    assert shop.receiver.most["/ok"] <= 4


# --- when it is disabled, and what then -------------------------------------------------------------------


async def test_one_that_is_gone_is_told_nothing_more_until_it_is_enabled_and_missed_nothing(
    shop: Shop,
) -> None:
    began = datetime.now(UTC) - timedelta(minutes=1)
    shop.receiver.does = 410
    endpoint, other = await shop.endpoint("/switch"), await shop.endpoint("/ok")
    id_ = endpoint["endpointId"]
    await shop.paid("o1")
    disabled = await shop.becomes(endpoint, "DISABLED")
    assert disabled["reason"] == "it answered 410 Gone"
    await shop.refunded("o1")
    await shop.paid("o2")
    await shop.are(other, "DELIVERED", 3)
    assert len(shop.receiver.to("/switch")) == 1
    assert (await shop.ask("POST", f"/{id_}/replay", {"since": began.isoformat()})).status_code == 409
    shop.receiver.does = 204
    await shop.does("POST", f"/{id_}/enable")
    await shop.does("POST", f"/{id_}/replay", {"since": began.isoformat()})
    await shop.are(endpoint, "DELIVERED", 3)
    told = [(call.event["subject"], call.event["type"]) for call in shop.receiver.to("/switch")[1:]]
    assert sorted(told) == [("o1", ALL[0]), ("o1", ALL[1]), ("o2", ALL[0])]
    assert told.index(("o1", ALL[0])) < told.index(("o1", ALL[1]))


async def test_what_a_later_release_wrote_is_waited_for_and_nothing_is_lost(shop: Shop) -> None:
    endpoint = await shop.endpoint("/ok")
    database = shop.room.database("notification")
    odd = {"_id": "odd", "untold": True, "at": datetime(2026, 1, 1, tzinfo=UTC), "kind": 7}
    await database[Notification.collection].insert_one(odd)
    await shop.paid("o1")
    await shop.are(endpoint, "DELIVERED", 1)
    # Of an endpoint it is not known what it is to be told of: nobody is, until that is.
    state = (await database[Endpoint.collection].find_one({}, {"state": 1})) or {}
    later = {"_id": "later", "state": state["state"], "createdAt": datetime.now(UTC)}
    await database[Endpoint.collection].insert_one(later)
    await shop.paid("o2")
    await shop.heard_of("o2")
    await asyncio.sleep(0.5)
    assert len(await shop.deliveries(endpoint)) == 1
    await database[Endpoint.collection].delete_one({"_id": "later"})
    await shop.are(endpoint, "DELIVERED", 2)


async def test_what_waits_for_one_that_is_deleted_is_dropped(shop: Shop) -> None:
    shop.receiver.does = 500
    endpoint = await shop.endpoint("/switch")
    await shop.paid("o1")
    await shop.are(endpoint, "WAITING", 1)
    await shop.does("DELETE", f"/{endpoint['endpointId']}")
    assert (await shop.ask("GET", f"/{endpoint['endpointId']}/deliveries")).status_code == 404
    stored = shop.room.database("notification")[DELIVERIES]

    async def states() -> list[str]:
        return [each["state"] async for each in stored.find()]

    await until(states, lambda found: found == ["DROPPED"], within=PATIENCE, what="it to be dropped")


# --- replays ----------------------------------------------------------------------------------------------


async def test_what_was_delivered_is_sent_again_under_its_id(shop: Shop) -> None:
    began = datetime.now(UTC) - timedelta(minutes=1)
    await shop.paid("before")
    await shop.heard_of("before")
    other = await shop.endpoint("/ok")
    # It is told of what came after it alone.
    await shop.paid("after")
    await shop.are(other, "DELIVERED", 1)
    await shop.does("POST", f"/{other['endpointId']}/replay", {"since": began.isoformat()})
    await shop.are(other, "DELIVERED", 2)
    calls = await shop.calls("/ok", 3)
    assert {call.event["subject"] for call in calls} == {"before", "after"}
    assert len({call.id for call in calls}) == 2

    async def done() -> bool:
        replay = (await shop.does("GET", f"/{other['endpointId']}"))["replay"]
        return bool(replay["done"] and replay["deliveries"] == 2)

    await until(done, within=PATIENCE, what="the replay to be done")


async def test_a_replay_is_of_a_time_and_of_types(shop: Shop) -> None:
    endpoint = await shop.endpoint("/ok")
    await shop.paid("o1")
    await shop.refunded("o1")
    await shop.are(endpoint, "DELIVERED", 2)
    now, path = datetime.now(UTC), f"/{endpoint['endpointId']}/replay"
    hour = timedelta(hours=1)

    async def replayed(since: datetime, until_: datetime, *types: str) -> int:
        given = {"since": since.isoformat(), "until": until_.isoformat(), "types": list(types)}
        asked = (await shop.does("POST", path, given))["replay"]["replayId"]

        async def look() -> Any:
            return (await shop.does("GET", f"/{endpoint['endpointId']}"))["replay"]

        found = await until(
            look,
            lambda replay: bool(replay["replayId"] == asked and replay["done"]),
            within=PATIENCE,
            what="the replay",
        )
        return int(found["deliveries"])

    assert await replayed(now - 2 * hour, now - hour) == 0
    assert await replayed(now - hour, now + hour, ALL[1]) == 1
    assert await replayed(now - hour, now + hour) == 2
    assert (
        await shop.ask("POST", path, {"since": now.isoformat(), "until": now.isoformat()})
    ).status_code == 422


# --- secrets ----------------------------------------------------------------------------------------------


async def test_for_a_day_both_secrets_are_believed(shop: Shop) -> None:
    endpoint = await shop.endpoint("/ok")
    rotated = await shop.does("POST", f"/{endpoint['endpointId']}/rotate")
    assert rotated["formerSecretsUntil"] is not None
    await shop.paid("o1")
    (call,) = await shop.calls("/ok", 1)
    for secret in (endpoint["secret"], rotated["secret"]):
        Webhook(secret).verify(call.body, call.headers)
    with pytest.raises(WebhookVerificationError):
        Webhook("whsec_" + "A" * 43 + "=").verify(call.body, call.headers)


async def test_a_secret_is_shown_once_and_not_in_the_database(shop: Shop) -> None:
    endpoint = await shop.endpoint("/ok")
    assert "secret" not in await shop.does("GET", f"/{endpoint['endpointId']}")
    stored = str([each async for each in shop.room.database("notification")["webhookEndpoints"].find()])
    assert endpoint["url"] in stored
    assert endpoint["secret"].removeprefix("whsec_").rstrip("=") not in stored


async def test_the_same_key_makes_one_endpoint_whose_secret_is_not_shown_again(shop: Shop) -> None:
    body, key = {"url": shop.receiver.url("/ok")}, {"Idempotency-Key": "k1"}
    first = await shop.does("POST", "", body, **key)
    again = await shop.ask("POST", "", body, **key)
    assert again.headers["idempotency-replayed"] == "true"
    assert (again.json()["endpointId"], again.json()["secret"]) == (first["endpointId"], None)
    assert (await shop.ask("POST", "", {"url": shop.receiver.url("/")}, **key)).status_code == 422
    assert len((await shop.does("GET", ""))["items"]) == 1


# --- routes -----------------------------------------------------------------------------------------------


async def test_an_endpoint_can_be_tried(shop: Shop) -> None:
    endpoint, bad = await shop.endpoint("/ok"), await shop.endpoint("/redirect")
    tried = await shop.does("POST", f"/{endpoint['endpointId']}/test")
    assert (tried["delivered"], tried["status"], tried["reason"]) == (True, 204, "")
    (call,) = shop.receiver.to("/ok")
    told = Webhook(endpoint["secret"]).verify(call.body, call.headers)
    assert (told["type"], told["subject"]) == ("sagashop.webhook.test.v1", endpoint["endpointId"])
    tried = await shop.does("POST", f"/{bad['endpointId']}/test")
    assert (tried["delivered"], tried["status"], tried["reason"]) == (False, 307, "307 Temporary Redirect")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"url": "http://merchant.example/"}, "url"),
        ({"url": "https://10.0.0.1/"}, "url"),
        ({"url": "https://a:b@merchant.example/"}, "url"),
        ({"url": "https://merchant.example/", "types": ["sagashop.order.eaten.v1"]}, "types.0"),
        ({"url": "https://merchant.example/", "secret": "mine"}, "secret"),
        ({}, "url"),
    ],
)
async def test_what_is_no_endpoint_is_refused_with_what_is_allowed(shop: Shop, body: Any, field: str) -> None:
    answer = await shop.ask("POST", "", body)
    assert answer.status_code == 422
    assert [each["field"] for each in answer.json()["errors"]] == [field]


async def test_they_are_for_administrators(shop: Shop) -> None:
    for headers, status in (({}, 401), (shop.issuer.headers("ada"), 403)):
        assert (await shop.client.get("/api/webhooks", headers=headers)).status_code == status


async def test_an_endpoint_is_changed_listed_and_deleted(shop: Shop) -> None:
    endpoint = await shop.endpoint("/ok", description="ours")
    path = f"/{endpoint['endpointId']}"
    changed = await shop.does("PATCH", path, {"url": shop.receiver.url("/switch"), "types": ALL[:1]})
    assert (changed["types"], changed["description"]) == (ALL[:1], "ours")
    assert (await shop.does("GET", ""))["items"] == [changed]
    await shop.paid("o1")
    await shop.calls("/switch", 1)
    assert (await shop.ask("DELETE", path)).status_code == 204
    for method, further in (("GET", ""), ("DELETE", ""), ("POST", "/rotate"), ("POST", "/test")):
        assert (await shop.ask(method, path + further)).status_code == 404
    assert (await shop.does("GET", ""))["items"] == []


async def test_deliveries_are_listed_page_by_page_the_newest_first(shop: Shop) -> None:
    endpoint = await shop.endpoint("/ok")
    for number in range(3):
        await shop.paid(f"o{number}")
        await shop.are(endpoint, "DELIVERED", number + 1)
    path = f"/{endpoint['endpointId']}/deliveries?limit=2"
    first = await shop.does("GET", path)
    second = await shop.does("GET", f"{path}&cursor={first['nextCursor']}")
    assert [each["orderId"] for each in [*first["items"], *second["items"]]] == ["o2", "o1", "o0"]
    assert second["nextCursor"] is None


# --- where an answer is lost ------------------------------------------------------------------------------


@pytest.mark.mode(21)
@pytest.mark.parametrize("lost", ["insert", "tell", "record"])
async def test_what_was_begun_is_done_again_and_is_the_same(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    """The database takes it, and its answer is lost, once: as where a process dies after it."""
    write, times = getattr(queries, lost), count()

    async def unheard(*given: Any) -> None:
        if lost != "record":
            await write(*given)
        if next(times) == 0:
            raise AutoReconnect("the answer was lost")
        if lost == "record":
            await write(*given)

    monkeypatch.setattr(queries, lost, unheard)
    endpoint = await shop.endpoint("/ok")
    await shop.paid("o1")
    await shop.are(endpoint, "DELIVERED", 1)
    assert len({call.id for call in shop.receiver.to("/ok")}) == 1
    # Only what was sent, and is not known to be, is sent again.
    assert len(shop.receiver.to("/ok")) == (2 if lost == "record" else 1)
