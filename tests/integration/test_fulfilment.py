"""The fulfilment service on real servers: an order is paid, its goods are sent once it lets them go."""

import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from aio_pika.abc import AbstractQueue

from sagactl.polling import until
from services.fulfilment.main import make_app
from services.fulfilment.settings import FulfilmentSettings
from services.fulfilment.shipment import Goods, Shipment, ShipmentState
from services.shared.contract.events import EXCHANGE
from services.shared.database.store import to_document
from tests.integration.issuer import Issuer
from tests.integration.room import PATIENCE, Room, running
from tests.integration.test_books_of_stripe import RoomsBooks

PAID = {
    "type": "ORDER_PAID",
    "data": {
        "orderId": "o1",
        "totalPrice": "299.99",
        "currency": "USD",
        "products": [{"productId": "p1", "quantity": 2, "name": "Lamp"}],
        "email": "ada@shop.example",
    },
}
APPROVED = {
    "type": "SHIPMENT_APPROVED",
    "data": {"orderId": "o1", "products": [{"productId": "p1", "quantity": 1}], "sequence": 4},
}
REFUSED = {"type": "SHIPMENT_REFUSED", "data": {"orderId": "o1", "reason": "the order is refunded"}}
URL = "/api/fulfilments/o1"


async def sent(room: Room, event: dict[str, Any]) -> None:
    """Twice, as anything may come."""
    for _ in range(2):
        await room.publish(EXCHANGE, event["type"], json.dumps(event).encode(), message_id=event["type"])


def state_of(client: httpx.AsyncClient, headers: dict[str, str]) -> Callable[[], Awaitable[str | None]]:
    async def state() -> str | None:
        found: str | None = (await client.get(URL, headers=headers)).json().get("state")
        return found

    return state


async def told(queue: AbstractQueue) -> dict[str, Any]:
    message = await until(
        lambda: queue.get(no_ack=True, fail=False), within=PATIENCE, what="what others are told"
    )
    assert message is not None
    event: dict[str, Any] = json.loads(message.body)
    return event


async def test_goods_are_sent_once_the_order_lets_them_go(room: Room, issuer: Issuer) -> None:
    settings = FulfilmentSettings(**room.settings("fulfilment"), jwks_url=issuer.jwks_url)
    admin = issuer.headers("boss", admin=True)
    async with running(make_app(settings)) as client, room.broker() as channel:
        state = state_of(client, admin)
        everybody = await channel.declare_queue(exclusive=True)
        for type_ in ("SHIPMENT_REQUEST", "ORDER_SHIPPED", "ORDER_DELIVERED"):
            await everybody.bind(EXCHANGE, type_)
        assert (await client.get(URL, headers=admin)).status_code == 404
        assert (await client.post(f"{URL}/ship", headers=admin)).status_code == 409
        await sent(room, PAID)
        await until(state, lambda found: found == "READY", within=PATIENCE, what="the shipment")
        assert (await client.post(f"{URL}/deliver", headers=admin)).status_code == 409

        keyed, parcel = {**admin, "Idempotency-Key": "parcel-1"}, {"carrier": "DHL", "tracking": "JD0146"}
        first = await client.post(f"{URL}/ship", headers=keyed, json=parcel)
        assert (first.status_code, first.json()["state"]) == (202, "SHIPPING")
        again = await client.post(f"{URL}/ship", headers=keyed, json=parcel)
        assert (again.status_code, again.headers["idempotency-replayed"]) == (202, "true")
        other = await client.post(f"{URL}/ship", headers=keyed, json={"carrier": "UPS"})
        assert other.status_code == 422
        assert (await client.post(f"{URL}/ship", headers=admin)).status_code == 409
        assert await told(everybody) == {"type": "SHIPMENT_REQUEST", "data": {"orderId": "o1"}}

        await sent(room, APPROVED)
        await until(state, lambda found: found == "SHIPPED", within=PATIENCE, what="the goods")
        goods = {"products": [{"productId": "p1", "quantity": 1, "name": "Lamp"}], **parcel}
        news = {"orderId": "o1", "sequence": 4, **goods, "email": "ada@shop.example"}
        assert await told(everybody) == {"type": "ORDER_SHIPPED", "data": news}
        assert (await client.post(f"{URL}/deliver", headers=admin)).status_code == 202
        assert await told(everybody) == {"type": "ORDER_DELIVERED", "data": news}
        shown = (await client.get(URL, headers=admin)).json()
        assert {name: shown[name] for name in ("state", "refusal", *goods)} == {
            "state": "DELIVERED",
            "refusal": None,
            **goods,
        }


async def test_what_the_order_does_not_let_go_stays(room: Room, issuer: Issuer) -> None:
    settings = FulfilmentSettings(**room.settings("fulfilment"), jwks_url=issuer.jwks_url)
    admin = issuer.headers("boss", admin=True)
    async with running(make_app(settings)) as client:
        state = state_of(client, admin)
        await sent(room, PAID)
        await until(state, lambda found: found == "READY", within=PATIENCE, what="the shipment")
        assert (await client.post(f"{URL}/ship", headers=admin)).status_code == 202
        await sent(room, REFUSED)
        await until(state, lambda found: found == "CANCELLED", within=PATIENCE, what="the refusal")
        assert (await client.get(URL, headers=admin)).json()["refusal"] == "the order is refunded"
        for command in ("ship", "deliver"):
            assert (await client.post(f"{URL}/{command}", headers=admin)).status_code == 409


async def test_only_the_shops_staff_has_anything_to_do_with_it(room: Room, issuer: Issuer) -> None:
    settings = FulfilmentSettings(**room.settings("fulfilment"), jwks_url=issuer.jwks_url)
    async with running(make_app(settings)) as client:
        for headers, status in ((issuer.headers("ada"), 403), ({}, 401)):
            assert (await client.get(URL, headers=headers)).status_code == status
            for command in ("ship", "deliver"):
                assert (await client.post(f"{URL}/{command}", headers=headers)).status_code == status


async def test_it_has_heard_of_orders_since_the_oldest_that_it_knows_to_be_paid(room: Room) -> None:
    """One that was paid before that, and refunded since, says nothing of when."""
    books, shipments = RoomsBooks(room, None), room.database("fulfilment")[Shipment.collection]
    assert await books.ships_since() is None
    first, day = datetime(2026, 1, 1, tzinfo=UTC), timedelta(days=1)
    lamp = (Goods("lamp", 1),)
    for id_, at, goods, state in (
        ("1", first + 2 * day, (), ShipmentState.CANCELLED),
        ("2", first, lamp, ShipmentState.READY),
        ("3", first + day, lamp, ShipmentState.READY),
    ):
        shipment = Shipment(id=id_, state=state, products=goods, created_at=at, updated_at=at)
        await shipments.insert_one(to_document(shipment))
    assert await books.ships_since() == first
