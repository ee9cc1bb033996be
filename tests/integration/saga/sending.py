"""A shop that sends goods, by whoever packs its parcels; and what may be wrong with them."""

from typing import Any, Final

import httpx

from sagactl.polling import until
from sagactl.shop import Json
from tests.integration.saga.house import PATIENCE
from tests.integration.saga.shop import Shop

REFUND: Final = {"reason": "broken"}
# Of an order that is paid, and whose goods are not sent: where it is broken, how, and what is said of it.
BREAKS: Final[dict[str, tuple[str, str, Json | None, str]]] = {
    "the shipment is gone": (
        "fulfilment",
        "shipments",
        None,
        "PAID, but fulfilment knows nothing of it: it has no shipment",
    ),
    "it is called off": (
        "fulfilment",
        "shipments",
        {"$set": {"state": "CANCELLED"}},
        "PAID, but its shipment is CANCELLED",
    ),
    "it is as good as sent": (
        "fulfilment",
        "shipments",
        {"$set": {"state": "DELIVERED"}},
        "but the order let go: nothing",
    ),
    "there is a piece too many": (
        "fulfilment",
        "shipments",
        {"$inc": {"products.0.quantity": 1}},
        "to be sent: 3 of ",
    ),
    "the order is not paid": (
        "order",
        "orders",
        {"$set": {"status": "CONFIRMED"}},
        "its shipment is READY, of an order that is CONFIRMED",
    ),
    "more is let go than was paid for": (
        "order",
        "orders",
        {"$set": {"shipped": [{"productId": "lamp", "quantity": 1}]}},
        "the order let go: 1 of lamp, but paid for was: 2 of ",
    ),
}


class Sending:
    """The shop, by whoever packs its parcels."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop

    async def says(self, order_id: str, command: str, content: Json | None = None) -> httpx.Response:
        headers = await self.shop.headers("admin")
        url = f"/api/fulfilments/{order_id}/{command}"
        return await self.shop.http.post(url, headers=headers, json=content)

    async def becomes(self, order_id: str, *states: str) -> Json:
        async def shipment() -> Json:
            headers = await self.shop.headers("admin")
            answer: Json = (await self.shop.http.get(f"/api/fulfilments/{order_id}", headers=headers)).json()
            return answer

        return await until(
            shipment, lambda found: found.get("state") in states, within=PATIENCE, what=" or ".join(states)
        )

    async def paid(self, pieces: int = 2) -> str:
        """An order that is, and that the service knows of."""
        order_id = await self.shop.place({await self.shop.product(): pieces})
        await self.shop.settles(order_id, "PAID")
        await self.becomes(order_id, "READY")
        return order_id

    async def refund(self, order_id: str, **more: Any) -> httpx.Response:
        headers = {**await self.shop.headers("admin"), "Idempotency-Key": f"refund of {order_id}"}
        url = f"/api/orders/{order_id}/refund"
        return await self.shop.http.post(url, headers=headers, json={**REFUND, **more})

    async def told(self, order_id: str) -> list[str]:
        """What the customer was, in the order of time."""
        found = self.shop.database("notification")["notifications"].find({"orderId": order_id}).sort("at")
        return [each["kind"] async for each in found]

    async def is_told(self, order_id: str, kind: str) -> None:
        async def kinds() -> list[str]:
            return await self.told(order_id)

        await until(kinds, lambda found: kind in found, within=PATIENCE, what=kind)

    async def has_published(self) -> None:
        """All that fulfilment has committed is with the broker."""
        outbox = self.shop.database("fulfilment")["outbox"]
        await until(
            lambda: outbox.count_documents({}), lambda rows: not rows, within=PATIENCE, what="published"
        )

    async def shipped(self, order_id: str) -> int:
        """How many pieces the order has let go."""
        (line,) = (await self.shop.order(order_id))["products"]
        pieces: int = line["shipped"]
        return pieces
