"""Handing mails to a real mail server: by TLS or not, and what is made of each of its answers."""

import asyncio
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.headerregistry import Address
from email.message import EmailMessage
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import trustme
from msgspec import structs

from services.notification.domain import Notification, intend
from services.notification.effects import Mailing
from services.notification.mail import compose
from services.shared.contract.decisions import Deferred, Message
from services.shared.contract.events import OrderRefunded
from services.shared.mail import relay as relaying
from services.shared.mail.outcomes import Sent, Undeliverable
from services.shared.mail.relay import Relay, is_final
from services.shared.mail.sending import Post
from services.shared.mail.settings import Server
from services.shared.mail.writing import Sender, mailbox_of
from tests.integration.mailserver import LOGIN, MailServer, mail_server
from tests.ports import free_port

SHOP = Sender(Address("Tea & Cups", "orders", "tea.example"), None, "en")
NOW = datetime(2026, 11, 26, tzinfo=UTC)
ADA = "ada@customer.example"


def relay(
    server: MailServer,
    scheme: str = "smtp",
    authorities: Path | None = None,
    *,
    login: bool = False,
    timeout: float = 20,
) -> Relay:
    user, password = (LOGIN.login.decode(), LOGIN.password.decode()) if login else (None, None)
    where = Server("localhost" if scheme != "smtp" else "127.0.0.1", server.port, scheme, user, password)
    return Relay(where, "orders@tea.example", authorities, connections=4, timeout=timeout)


def by(scheme: str, context: ssl.SSLContext) -> dict[str, Any]:
    """How the server is told to speak it."""
    return {"tls" if scheme == "smtps" else "starttls": context}


async def send(through: Relay, address: str, id_: str = "event-1") -> Sent | Undeliverable:
    return await through.send(*written(address, id_))


def written(address: str, id_: str) -> tuple[EmailMessage, Address]:
    event = OrderRefunded(order_id="o1", total_price=Decimal(7), currency="USD", email=address)
    to = mailbox_of(address)
    return compose(id_, to, NOW, event, SHOP), to


@pytest.fixture
def authority() -> Iterator[tuple[Path, ssl.SSLContext]]:
    """What the relay is told to believe, and what a server at localhost shows."""
    made, context = trustme.CA(), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    made.issue_cert("localhost").configure_cert(context)
    with TemporaryDirectory() as folder:
        made.cert_pem.write_to_path(str(Path(folder) / "ca.pem"))
        yield Path(folder) / "ca.pem", context


async def test_a_mail_arrives_as_it_was_composed() -> None:
    async with mail_server() as server:
        assert await send(relay(server), ADA) == Sent()
    (mail,) = server.mails
    assert (mail["To"], mail["Message-ID"]) == (ADA, "<event-1@tea.example>")
    body = mail.get_body(("plain",))
    assert body is not None
    assert "We paid back $7.00 on November 26, 2026." in body.get_content()


async def test_a_connection_is_used_again() -> None:
    async with mail_server() as server:
        through = relay(server)
        for address in (ADA, "nobody@customer.example", ADA):
            await send(through, address)
        assert (len(server.sessions), len(server.mails)) == (1, 2)
        through.close()


@pytest.mark.parametrize("scheme", ["smtps", "smtp+starttls"])
async def test_by_tls_one_logs_in(scheme: str, authority: tuple[Path, ssl.SSLContext]) -> None:
    believed, context = authority
    async with mail_server(login=True, **by(scheme, context)) as server:
        assert await send(relay(server, scheme, believed, login=True), ADA) == Sent()
        with pytest.raises(Deferred, match=r"^530 "):
            await send(relay(server, scheme, believed), ADA)
    assert len(server.mails) == 1


@pytest.mark.parametrize("scheme", ["smtps", "smtp+starttls"])
async def test_a_server_that_nobody_vouches_for_is_told_nothing(
    scheme: str, authority: tuple[Path, ssl.SSLContext]
) -> None:
    _, context = authority
    async with mail_server(**by(scheme, context)) as server:
        with pytest.raises(Deferred, match="certificate"):
            await send(relay(server, scheme), ADA)
    assert server.named == {}


async def test_without_starttls_nothing_is_sent_in_the_clear() -> None:
    async with mail_server() as server:
        with pytest.raises(Deferred, match="the mail server"):
            await send(relay(server, "smtp+starttls"), ADA)
    assert server.named == {}


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("nobody@customer.example", "550 5.1.1 <***>: no such user here"),
        ("full@customer.example", "552 5.2.2 <***>: mailbox full"),
        ("frédéric@customer.example", "the mail server takes no addresses beyond ASCII"),
    ],
)
async def test_a_mailbox_that_takes_nothing_is_told_with_its_reason_and_without_its_address(
    address: str, reason: str
) -> None:
    async with mail_server() as server:
        assert await send(relay(server), address) == Undeliverable(reason)


@pytest.mark.parametrize("name", ["busy", "policy", "login"])
async def test_what_may_be_otherwise_later_is_put_off(name: str) -> None:
    async with mail_server() as server:
        with pytest.raises(Deferred):
            await send(relay(server), f"{name}@customer.example")


@pytest.mark.parametrize(
    ("code", "message", "final"),
    [
        (450, "4.2.1 later", False),
        (421, "closing", False),
        (550, "5.1.1 no such user", True),
        (550, "no such user", True),
        (554, "5.7.1 relay access denied", False),
        (535, "5.7.8 bad password", False),
        (552, "5.2.2 full", True),
    ],
)
def test_a_refusal_is_final_where_it_is_permanent_and_not_about_us(
    code: int,
    message: str,
    final: bool,  # noqa: FBT001  # a case
) -> None:
    assert is_final(code, message) is final


async def test_a_tarpit_slows_no_other() -> None:
    async with mail_server() as server:
        through = relay(server, timeout=60)
        stuck = [asyncio.create_task(send(through, "tarpit@slow.example", f"stuck-{n}")) for n in range(100)]

        async def all_but_two_hang() -> None:
            while server.named["tarpit@slow.example"] < 2:
                await asyncio.sleep(0.01)

        async def customer(n: int) -> Sent | Undeliverable:
            """As the engine does: what is put off, as a busy machine may do, comes again, after a while."""
            mail, to = written(f"c{n}@customer.example", f"e{n}")
            while True:
                try:
                    return await through.send(mail, to)
                except Deferred:
                    await asyncio.sleep(1)

        # Before the first that hangs is given up.
        async with asyncio.timeout(45):
            await all_but_two_hang()
            results = await asyncio.gather(*map(customer, range(200)))
        assert set(results) == {Sent()}
        assert not any(each.done() and each.exception() is None for each in stuck)
        for each in stuck:
            each.cancel()
        await asyncio.gather(*stuck, return_exceptions=True)
        through.close()


async def test_a_server_that_says_nothing_is_not_waited_for_by_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relaying, "CONNECT_SECONDS", 0.2)
    connected = 0
    silent: list[asyncio.StreamWriter] = []

    async def say_nothing(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connected
        connected += 1
        silent.append(writer)

    port = free_port()
    server = await asyncio.start_server(say_nothing, "127.0.0.1", port)
    through = relay(MailServer(port))
    with pytest.raises(Deferred, match="the mail server"):
        await send(through, ADA)
    for _ in range(100):
        with pytest.raises(Deferred, match="the mail server"):
            await send(through, ADA)
    assert connected == 1
    for writer in silent:
        writer.close()
    server.close()


async def test_a_server_that_is_back_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relaying, "AWAY_SECONDS", 0.0)
    port = free_port()
    through = relay(MailServer(port))
    with pytest.raises(Deferred, match="the mail server"):
        await send(through, ADA)
    async with mail_server(port=port):
        assert await send(through, ADA) == Sent()


# --- once an event ----------------------------------------------------------------------------------------


def waiting(
    id_: str = "event-1", email: str = ADA, after: timedelta = timedelta()
) -> tuple[Notification, Message]:
    """A notification whose mail is to be sent, and its message, which comes so long after it was stored."""
    event = OrderRefunded(order_id="o1", total_price=Decimal(7), currency="USD", email=email)
    message = Message(id=id_, source="notifications", body=event, at=NOW)
    intent = intend(None, message)
    assert intent is not None
    return intent, structs.replace(message, at=NOW + after)


async def test_an_event_that_comes_again_while_its_mail_is_sent_or_before_that_is_stored_is_one_mail() -> (
    None
):
    async with mail_server() as server:
        mailing = Mailing(Post(relay(server), SHOP))
        outcomes = await asyncio.gather(*(mailing.perform(*waiting()) for _ in range(3)))
        outcomes.append(await mailing.perform(*waiting()))
        assert {type(each.result) for each in outcomes} == {Sent}
        assert len(server.mails) == 1


async def test_a_mail_that_was_put_off_is_tried_again_when_its_event_comes_again() -> None:
    async with mail_server() as server:
        mailing = Mailing(Post(relay(server), SHOP))
        with pytest.raises(Deferred):
            await mailing.perform(*waiting(email="busy@customer.example"))
        assert (await mailing.perform(*waiting(email="busy@customer.example"))).result == Sent()


async def test_after_three_days_a_mail_is_given_up_with_what_was_said_last() -> None:
    mailing = Mailing(Post(relay(MailServer(free_port())), SHOP))
    with pytest.raises(Deferred):
        await mailing.perform(*waiting(after=timedelta(days=3) - timedelta(seconds=1)))
    found = (await mailing.perform(*waiting(after=timedelta(days=3)))).result
    assert isinstance(found, Undeliverable)
    assert found.reason.startswith("given up after 3 days: the mail server: ")


@pytest.mark.parametrize(
    ("address", "reason"),
    [("erased@customer.invalid", "the address is nobody's"), ("nobody at all", "this is no e-mail address")],
)
async def test_who_has_no_address_is_not_written_to(address: str, reason: str) -> None:
    mailing = Mailing(Post(relay(MailServer(free_port())), SHOP))
    assert (await mailing.perform(*waiting(email=address))).result == Undeliverable(reason)
