"""The notification service on real servers: what comes by its queue can be asked for, and is sent."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from email.message import EmailMessage
from typing import Any

import httpx
import pytest

from sagactl.polling import until
from services.notification.main import make_app
from services.notification.settings import NotificationSettings
from tests.integration.issuer import Issuer
from tests.integration.mailserver import MailServer, mail_server
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
    assert (only["state"], only["reason"]) == ("RECORDED", "")


# --- with a mail server -----------------------------------------------------------------------------------


class Post:
    """The service, and the mail server that it sends by."""

    def __init__(
        self, room: Room, client: httpx.AsyncClient, admin: Mapping[str, str], server: MailServer
    ) -> None:
        self._room, self._client, self._admin = room, client, admin
        self.server = server

    async def cancelled(self, id_: str, email: str) -> None:
        """The event that an order, named as the event is, was cancelled."""
        data = {"orderId": id_, "reason": "OUT_OF_STOCK", "email": email, "locale": "de-AT"}
        body = json.dumps({"type": "ORDER_CANCELLED", "data": data}).encode()
        await self._room.publish("saga.events", "ORDER_CANCELLED", body, message_id=id_)

    async def about(self, order_id: str) -> list[dict[str, Any]]:
        url = f"/internal/notifications?orderId={order_id}"
        items: list[dict[str, Any]] = (await self._client.get(url, headers=self._admin)).json()["items"]
        return items

    async def again(
        self, id_: str, key: str | None = None, by: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """Its mail is asked for once more."""
        headers = {**(by or self._admin), **({"Idempotency-Key": key} if key else {})}
        return await self._client.post(f"/api/notifications/{id_}/resend", headers=headers)

    async def corrected(self, id_: str, email: str) -> None:
        """The address that its mail goes to is another now."""
        notifications = self._room.database("notification")["notifications"]
        await notifications.update_one({"_id": id_}, {"$set": {"recipient": email}, "$inc": {"version": 1}})

    async def taken(self, number: int) -> list[EmailMessage]:
        """So many mails, once the server has them."""

        async def look() -> list[EmailMessage]:
            return self.server.mails

        return await until(look, lambda mails: len(mails) == number, within=PATIENCE, what=f"{number} mails")

    async def over(self, order_id: str) -> dict[str, Any]:
        """Once no mail of it is on its way."""

        async def look() -> dict[str, Any]:
            (only,) = await self.about(order_id)
            return only

        return await until(
            look, lambda found: found["resentAt"] is None, within=PATIENCE, what="the end of a resend"
        )

    async def becomes(self, order_id: str, state: str) -> dict[str, Any]:
        async def look() -> list[dict[str, Any]]:
            return await self.about(order_id)

        found = await until(
            look, lambda items: [each["state"] for each in items] == [state], within=PATIENCE, what=state
        )
        return found[0]


@pytest.fixture
async def post(room: Room, issuer: Issuer) -> AsyncIterator[Post]:
    async with _post(room, issuer) as found:
        yield found


@asynccontextmanager
async def _post(room: Room, issuer: Issuer) -> AsyncIterator[Post]:
    async with mail_server() as server:
        settings = NotificationSettings(
            **room.settings("notification"),
            jwks_url=issuer.jwks_url,
            smtp_url=f"smtp://127.0.0.1:{server.port}",
            smtp_timeout_seconds=5,
            mail_from="Tea & Cups <orders@tea.example>",
        )
        async with running(make_app(settings)) as client:
            yield Post(room, client, issuer.headers("boss", admin=True), server)


async def test_an_event_that_comes_again_and_again_is_one_mail(post: Post) -> None:
    await asyncio.gather(*(post.cancelled("e1", "ada@customer.example") for _ in range(5)))
    await post.becomes("e1", "SENT")
    await post.cancelled("e1", "ada@customer.example")
    # Whatever comes after the last of them is sent: so that one is through, too.
    await post.cancelled("e2", "ada@customer.example")
    await post.becomes("e2", "SENT")
    assert [mail["Message-ID"] for mail in post.server.mails] == ["<e1@tea.example>", "<e2@tea.example>"]
    assert post.server.mails[0]["Subject"] == "Ihre Bestellung e1 ist storniert"


async def test_a_mailbox_that_is_busy_gets_its_mail_later(post: Post) -> None:
    await post.cancelled("e1", "busy@customer.example")
    await post.becomes("e1", "SENT")
    assert post.server.named["busy@customer.example"] == 2
    assert len(post.server.mails) == 1


async def test_a_mailbox_that_is_nobodys_fails_at_once_with_its_reason(post: Post) -> None:
    await post.cancelled("e1", "nobody@customer.example")
    found = await post.becomes("e1", "FAILED")
    assert found["reason"] == "550 5.1.1 <***>: no such user here"
    assert post.server.named["nobody@customer.example"] == 1


async def test_a_customer_who_is_erased_is_not_written_to(post: Post) -> None:
    await post.cancelled("e1", "erased@customer.invalid")
    found = await post.becomes("e1", "FAILED")
    assert found["reason"] == "the address is nobody's"
    assert post.server.sessions == []


async def test_mails_that_hang_hold_up_no_other_and_wait(post: Post) -> None:
    await asyncio.gather(*(post.cancelled(f"stuck{n}", "tarpit@slow.example") for n in range(60)))
    await asyncio.gather(*(post.cancelled(f"e{n}", f"c{n}@customer.example") for n in range(20)))
    for n in range(20):
        await post.becomes(f"e{n}", "SENT")
    assert {each["state"] for n in range(60) for each in await post.about(f"stuck{n}")} == {"WAITING"}


# --- once more --------------------------------------------------------------------------------------------


async def test_a_mail_is_sent_once_more_with_a_key_of_its_own_and_is_another_mail(post: Post) -> None:
    await post.cancelled("e1", "ada@customer.example")
    await post.becomes("e1", "SENT")
    answers = [await post.again("e1", "key") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [202, 202]
    assert [answer.headers.get("Idempotency-Replayed") for answer in answers] == [None, "true"]
    first, second = await post.taken(2)
    assert first["Message-ID"] == "<e1@tea.example>" != second["Message-ID"]
    for name in ("To", "Subject", "References"):
        assert first[name] == second[name]
    assert first.get_body(("plain",)).get_content() == second.get_body(("plain",)).get_content()  # type: ignore[union-attr]  # it has one
    assert (await post.over("e1"))["state"] == "SENT"


async def test_a_mail_that_failed_is_sent_once_the_mailbox_is_there(post: Post) -> None:
    await post.cancelled("e1", "nobody@customer.example")
    await post.becomes("e1", "FAILED")
    await post.corrected("e1", "busy@customer.example")
    assert (await post.again("e1")).json()["resentAt"]
    on_its_way = await post.again("e1")
    assert (on_its_way.status_code, "on its way" in on_its_way.json()["detail"]) == (409, True)
    (mail,) = await post.taken(1)
    assert mail["To"] == "busy@customer.example"
    assert post.server.named["busy@customer.example"] == 2, "the first time it was busy"
    found = await post.over("e1")
    assert (found["state"], found["reason"]) == ("SENT", "")


async def test_what_a_replica_was_sending_when_it_ended_is_sent_by_the_next(
    room: Room, issuer: Issuer
) -> None:
    async with _post(room, issuer) as before:
        await before.cancelled("e1", "ada@customer.example")
        await before.becomes("e1", "SENT")
        await before.corrected("e1", "tarpit@slow.example")
        assert (await before.again("e1")).status_code == 202

        async def asked() -> int:
            return before.server.named["tarpit@slow.example"]

        await until(asked, within=PATIENCE, what="a try")
    await before.corrected("e1", "ada@customer.example")
    async with _post(room, issuer) as after:
        (mail,) = await after.taken(1)
        assert mail["To"] == "ada@customer.example"
        assert (await after.over("e1"))["state"] == "SENT"


async def test_only_staff_may_send_a_mail_once_more_and_of_a_customer_who_was_erased_there_is_none(
    post: Post, issuer: Issuer
) -> None:
    await post.cancelled("e1", "ada@customer.example")
    await post.becomes("e1", "SENT")
    assert (await post.again("e1", by=issuer.headers("ada"))).status_code == 403
    assert (await post.again("none")).status_code == 404
    await post.corrected("e1", "erased@customer.invalid")
    refused = await post.again("e1")
    assert (refused.status_code, "was erased" in refused.json()["detail"]) == (409, True)


async def test_a_shop_without_a_mail_server_says_so(room: Room, issuer: Issuer) -> None:
    settings = NotificationSettings(**room.settings("notification"), jwks_url=issuer.jwks_url)
    async with running(make_app(settings)) as client:
        admin = issuer.headers("boss", admin=True)
        answer = await client.post("/api/notifications/e1/resend", headers=admin)
    assert (answer.status_code, "SMTP_URL" in answer.json()["detail"]) == (409, True)
