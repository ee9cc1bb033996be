"""The fulfilment service on real servers: an order is paid, and the service's own event is heard."""

import json

from aio_pika.abc import AbstractIncomingMessage

from sagactl.polling import until
from services.fulfilment.main import make_app
from services.fulfilment.settings import FulfilmentSettings
from services.shared.contract.events import EXCHANGE
from tests.integration.issuer import Issuer
from tests.integration.room import PATIENCE, Room, running

PAID = (
    b'{"type": "ORDER_PAID", "data": {"orderId": "o1", "totalPrice": "299.99", "currency": "USD",'
    b' "products": [{"productId": "p1", "quantity": 1}], "email": "ada@shop.example"}}'
)


async def test_an_order_that_is_paid_has_an_entry_and_everybody_who_waits_is_told(
    room: Room, issuer: Issuer
) -> None:
    settings = FulfilmentSettings(**room.settings("fulfilment"), jwks_url=issuer.jwks_url)
    admin, url = issuer.headers("boss", admin=True), "/internal/fulfilment/o1"
    async with running(make_app(settings)) as client, room.broker() as channel:
        everybody = await channel.declare_queue(exclusive=True)
        await everybody.bind(EXCHANGE, "FULFILMENT_RECORDED")
        assert (await client.get(url, headers=admin)).status_code == 404
        for _ in range(2):
            await room.publish(EXCHANGE, "ORDER_PAID", PAID, message_id="event-1")

        async def told() -> AbstractIncomingMessage | None:
            return await everybody.get(no_ack=True, fail=False)

        async def state() -> str | None:
            found: str | None = (await client.get(url, headers=admin)).json().get("state")
            return found

        message = await until(told, within=PATIENCE, what="FULFILMENT_RECORDED")
        await until(state, lambda found: found == "ANNOUNCED", within=PATIENCE, what="the entry")
        assert (await client.get(url, headers=admin)).json() == {
            "orderId": "o1",
            "totalPrice": "299.99",
            "currency": "USD",
            "state": "ANNOUNCED",
        }
        assert (await client.get(url, headers=issuer.headers("ada"))).status_code == 403
    assert message is not None
    assert json.loads(message.body) == {"type": "FULFILMENT_RECORDED", "data": {"orderId": "o1"}}
