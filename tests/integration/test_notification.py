"""The notification service on real servers: what comes by its queue can be asked for."""

from sagactl.polling import until
from services.notification.main import make_app
from services.notification.settings import NotificationSettings
from tests.integration.issuer import Issuer
from tests.integration.room import PATIENCE, Room, running

PAID = (
    b'{"type": "ORDER_PAID", "data": {"orderId": "o1", "totalPrice": "299.99", "currency": "USD",'
    b' "products": [{"productId": "p1", "quantity": 1}], "email": "ada@shop.example"}}'
)


async def test_an_event_that_comes_twice_is_one_notification(room: Room, issuer: Issuer) -> None:
    settings = NotificationSettings(**room.settings("notification"), jwks_url=issuer.jwks_url)
    admin, url = issuer.headers("boss", admin=True), "/internal/notifications?orderId=o1"
    async with running(make_app(settings)) as client:
        for _ in range(2):
            await room.publish("saga.events", "ORDER_PAID", PAID, message_id="event-1")

        async def recorded() -> bool:
            return bool((await client.get(url, headers=admin)).json()["items"]) and await room.drained(
                "notifications"
            )

        await until(recorded, within=PATIENCE, what="the notification")
        (only,) = (await client.get(url, headers=admin)).json()["items"]
        assert (await client.get(url, headers=issuer.headers("ada"))).status_code == 403
    assert {name: only[name] for name in ("id", "kind", "orderId", "recipient", "subject")} == {
        "id": "event-1",
        "kind": "ORDER_PAID",
        "orderId": "o1",
        "recipient": "ada@shop.example",
        "subject": "Order o1 is paid: 299.99 USD",
    }
