"""Webhooks where the notification service stops, dies, starts again, or has another key."""

import asyncio
import base64
import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from pydantic import SecretStr
from standardwebhooks import Webhook

from sagactl.polling import until
from services.notification import courier, deliveries, queries
from services.notification.deliveries import Delivery
from services.notification.main import make_app
from services.notification.queries import DELIVERIES
from services.shared.database.store import Store
from services.shared.engine.holding import HOLDS, LEASE, MARGIN_SECONDS, RENEWED_EVERY_SECONDS
from tests.integration.issuer import Issuer
from tests.integration.receiver import Authority, Receiver, authority, receiving
from tests.integration.room import PATIENCE, Room, running
from tests.integration.webhooks import PAID, Shop, opened, settings
from tests.ports import free_port


@pytest.fixture(scope="module")
def believed() -> Iterator[Authority]:
    with authority() as found:
        yield found


@pytest.fixture
async def receiver(believed: Authority) -> AsyncIterator[Receiver]:
    async with receiving(believed.context) as found:
        yield found


@pytest.fixture(autouse=True)
def _lively(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks often: a test takes less time."""
    monkeypatch.setattr(courier, "LOOK_SECONDS", 0.1)


# --- one replica at a time --------------------------------------------------------------------------------


@pytest.mark.mode(21)
async def test_two_replicas_send_everything_once_and_what_one_leaves_the_other_takes(
    room: Room, issuer: Issuer, believed: Authority, receiver: Receiver
) -> None:
    async with opened(room, issuer, believed, receiver) as other:
        async with opened(room, issuer, believed, receiver) as shop:
            endpoint = await shop.endpoint("/ok")
            await asyncio.gather(*(shop.paid(f"o{number}") for number in range(20)))
            await shop.are(endpoint, "DELIVERED", 20)
            assert len(receiver.to("/ok")) == 20
        await other.paid("later")
        await other.are(endpoint, "DELIVERED", 21)
    assert len(receiver.to("/ok")) == len({call.id for call in receiver.calls}) == 21


# --- where a process dies ---------------------------------------------------------------------------------


@pytest.mark.mode(21)
async def test_nothing_is_lost_when_a_process_is_killed(
    room: Room, issuer: Issuer, believed: Authority, receiver: Receiver
) -> None:
    """SIGKILL, while some of it is in the queue, some not told yet, and some under way."""
    orders = {f"o{number}" for number in range(60)}
    async with a_process(room, issuer, believed) as (process, client):
        shop = Shop(room, client, issuer, receiver)
        endpoint = await shop.endpoint("/ok")
        publishing = asyncio.gather(*(shop.paid(order) for order in orders))
        await shop.calls("/ok", 1)
        process.kill()
        await publishing
        await process.wait()
    # Its lease ends at once, not in half a minute.
    await room.database("notification")[HOLDS].update_many({}, {"$set": {"due": datetime.now(UTC)}})
    async with a_process(room, issuer, believed) as (_, client):
        shop = Shop(room, client, issuer, receiver)
        await shop.are(endpoint, "DELIVERED", len(orders))
    calls = receiver.to("/ok")
    assert {call.event["subject"] for call in calls} == orders
    assert len({call.id for call in calls}) == len(orders)


@asynccontextmanager
async def a_process(
    room: Room, issuer: Issuer, believed: Authority
) -> AsyncIterator[tuple[asyncio.subprocess.Process, httpx.AsyncClient]]:
    """The service as it is in production, ready."""
    port = free_port()
    given = room.settings("notification") | {
        "port": port,
        "host": "127.0.0.1",
        "jwks_url": issuer.jwks_url,
        "webhooks_key": room.secrets_key,
        "webhook_allow_networks": "127.0.0.0/8",
        "webhook_ca_file": believed.file,
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services.notification.main"),
        env={**os.environ, **{name.upper(): str(value) for name, value in given.items()}},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:

            async def ready() -> bool:
                try:
                    return (await client.get("/readyz")).is_success
                except httpx.TransportError:
                    return False

            await until(ready, within=PATIENCE, what="the process to be ready")
            yield process, client
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
        await process.wait()


# --- keys -------------------------------------------------------------------------------------------------


async def test_with_a_newer_key_secrets_are_sealed_anew_and_the_old_one_can_go(
    room: Room, issuer: Issuer, believed: Authority, receiver: Receiver
) -> None:
    given, newer = settings(room, issuer, believed), new_key()
    async with opened(room, issuer, believed, receiver) as shop:
        endpoint = await shop.endpoint("/ok")
    stored = room.database("notification")["webhookEndpoints"]

    async def sealed() -> str:
        document = await stored.find_one({"_id": endpoint["endpointId"]})
        assert document is not None
        return str(document["secrets"][0]["sealed"])

    before = await sealed()
    both = given.model_copy(update={"webhooks_key": SecretStr(f"{newer},{room.secrets_key}")})
    async with running(make_app(both)):
        await until(sealed, lambda found: found != before, within=PATIENCE, what="it to be sealed anew")
    alone = given.model_copy(update={"webhooks_key": SecretStr(newer)})
    async with running(make_app(alone)) as client:
        shop = Shop(room, client, issuer, receiver)
        await shop.paid("o1")
        (call,) = await shop.calls("/ok", 1)
    Webhook(endpoint["secret"]).verify(call.body, call.headers)


def new_key() -> str:
    return base64.b64encode(os.urandom(32)).decode()


# --- what waits is not read each second -------------------------------------------------------------------


@pytest.mark.without_broker
async def test_what_waits_for_one_that_is_away_costs_those_nothing_who_look(room: Room) -> None:
    """For days there may be a million: whoever has something waiting is found without reading all of it."""
    store = Store(room.mongodb, room.database_name("notification"))
    await store.prepare(queries.INDEXES)
    now = datetime.now(UTC)
    backlog = [
        Delivery(
            id=f"{endpoint}-{number}",
            endpoint_id=endpoint,
            event_id=f"e{number}",
            order_id=f"o{number}",
            type=PAID,
            sequence=3,
            at=now,
            due=now - timedelta(minutes=1),
            expires_at=now + timedelta(days=1),
        )
        for endpoint in ("w1", "w2")
        for number in range(1000)
    ]
    await queries.insert(store, backlog)
    assert await queries.with_waiting(store) == {"w1", "w2"}
    asked = {"distinct": DELIVERIES, "key": "endpointId", "query": queries.WAITING}
    plan = await store.database.command({"explain": asked, "verbosity": "executionStats"})
    assert plan["executionStats"]["totalKeysExamined"] <= 10, plan["executionStats"]
    due = await queries.due(store, "w2", now, but=["o0", "o1"], limit=4)
    assert {each.endpoint_id for each in due} == {"w2"}
    assert len({each.order_id for each in due} - {"o0", "o1"}) == 4


async def test_without_a_key_there_are_no_webhooks(room: Room, issuer: Issuer, believed: Authority) -> None:
    without = settings(room, issuer, believed).model_copy(update={"webhooks_key": SecretStr("")})
    async with running(make_app(without)) as client:
        answer = await client.post(
            "/api/webhooks",
            json={"url": "https://merchant.example/"},
            headers=issuer.headers("boss", admin=True),
        )
    assert answer.status_code == 409
    assert "WEBHOOKS_KEY" in answer.json()["detail"]


def test_a_try_is_given_up_before_the_lease_of_who_makes_it_ends() -> None:
    """Or another replica would make it, too."""
    assert deliveries.ANSWERS_WITHIN < MARGIN_SECONDS < LEASE.total_seconds() - 2 * RENEWED_EVERY_SECONDS
