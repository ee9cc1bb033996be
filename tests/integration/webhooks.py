"""The notification service with webhooks, on real servers, and an administrator who talks to it."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final
from uuid import uuid4

import httpx

from sagactl.polling import until
from services.notification.main import make_app
from services.notification.settings import NotificationSettings
from tests.integration.issuer import Issuer
from tests.integration.receiver import Authority, Call, Receiver
from tests.integration.room import PATIENCE, Room, running

PAID: Final = "sagashop.order.paid.v1"
REFUNDED: Final = "sagashop.order.refunded.v1"


class Shop:
    """The service, and an administrator who talks to it."""

    def __init__(self, room: Room, client: httpx.AsyncClient, issuer: Issuer, receiver: Receiver) -> None:
        self.room, self.client, self.issuer, self.receiver = room, client, issuer, receiver
        self._admin = issuer.headers("boss", admin=True)

    async def ask(self, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        return await self.client.request(
            method, f"/api/webhooks{path}", json=body, headers={**self._admin, **headers}
        )

    async def does(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        answer = await self.ask(method, path, body, **headers)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    async def endpoint(self, path: str, **given: Any) -> Any:
        return await self.does("POST", "", {"url": self.receiver.url(path), **given})

    async def paid(self, order_id: str, *, sequence: int = 3) -> str:
        """The id of the event that the order was paid."""
        return await self.happens(
            "ORDER_PAID",
            order_id,
            sequence,
            totalPrice="9.99",
            currency="EUR",
            products=[{"productId": "p1", "quantity": 1}],
        )

    async def refunded(self, order_id: str, *, sequence: int = 9) -> str:
        return await self.happens("ORDER_REFUNDED", order_id, sequence, totalPrice="9.99", currency="EUR")

    async def happens(self, kind: str, order_id: str, sequence: int, **data: Any) -> str:
        id_ = str(uuid4())
        told = {"orderId": order_id, "sequence": sequence, "email": "ada@customer.example", **data}
        body = json.dumps({"type": kind, "data": told}).encode()
        await self.room.publish("saga.events", kind, body, message_id=id_)
        return id_

    async def heard_of(self, order_id: str) -> None:
        """Once the service has."""
        url = f"/internal/notifications?orderId={order_id}"

        async def look() -> bool:
            return bool((await self.client.get(url, headers=self._admin)).json()["items"])

        await until(look, within=PATIENCE, what=f"the notification about {order_id}")

    async def calls(self, path: str, number: int) -> list[Call]:
        """Once there are so many."""

        async def look() -> list[Call]:
            return self.receiver.to(path)

        return await until(look, lambda found: len(found) >= number, within=PATIENCE, what=f"calls of {path}")

    async def deliveries(self, endpoint: Any, *, state: str | None = None) -> list[Any]:
        query = f"?limit=100&state={state}" if state else "?limit=100"
        items: list[Any] = (await self.does("GET", f"/{endpoint['endpointId']}/deliveries{query}"))["items"]
        return items

    async def are(self, endpoint: Any, state: str, number: int) -> list[Any]:
        """The deliveries in this state, once there are so many."""

        async def look() -> list[Any]:
            return await self.deliveries(endpoint, state=state)

        what = f"{number} deliveries that are {state}"
        return await until(look, lambda found: len(found) == number, within=PATIENCE, what=what)

    async def becomes(self, endpoint: Any, state: str) -> Any:
        async def look() -> Any:
            return await self.does("GET", f"/{endpoint['endpointId']}")

        return await until(look, lambda found: found["state"] == state, within=PATIENCE, what=state)


def settings(room: Room, issuer: Issuer, believed: Authority) -> NotificationSettings:
    return NotificationSettings(
        **room.settings("notification"),
        jwks_url=issuer.jwks_url,
        webhooks_key=room.secrets_key,
        webhook_allow_networks="127.0.0.0/8",
        webhook_ca_file=believed.file,
        webhook_source="https://shop.example/api",
    )


@asynccontextmanager
async def opened(room: Room, issuer: Issuer, believed: Authority, receiver: Receiver) -> AsyncIterator[Shop]:
    async with running(make_app(settings(room, issuer, believed))) as client:
        yield Shop(room, client, issuer, receiver)
