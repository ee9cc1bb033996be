"""The mailbox of `make up` keeps what is sent to it, for whatever address, once."""

import asyncio
from datetime import UTC, datetime
from email.headerregistry import Address
from pathlib import Path

from dev.mailbox import Mailbox, main
from services.notification.mail import compose
from services.shared.contract.events import OrderCancelled
from services.shared.mail.outcomes import Sent
from services.shared.mail.relay import Relay
from services.shared.mail.settings import Server
from services.shared.mail.writing import Sender, mailbox_of
from tests.ports import free_port

SHOP = Sender(Address("Bücher", "orders", "shop.example"), None, "de")


async def test_a_mail_is_a_file_and_the_same_file_when_it_is_sent_again(tmp_path: Path) -> None:
    mailbox = Mailbox(tmp_path / "mails", free_port())
    mailbox.programs()
    serving = asyncio.create_task(main(mailbox.port, mailbox.folder))
    await mailbox.ready()
    relay = Relay(
        Server("127.0.0.1", mailbox.port, "smtp", None, None),
        "orders@shop.example",
        None,
        connections=2,
        timeout=20,
    )
    for id_, address in (("1", "ada@a.example"), ("1", "ada@a.example"), ("2", "björn@b.example")):
        event = OrderCancelled(order_id=id_, reason="OUT_OF_STOCK", email=address)
        to = mailbox_of(address)
        assert await relay.send(compose(id_, to, datetime.now(UTC), event, SHOP), to) == Sent()
    mails = {str(mail["To"]): str(mail["Subject"]) for mail in mailbox.mails()}
    assert mails == {
        "ada@a.example": "Ihre Bestellung 1 ist storniert",
        "björn@b.example": "Ihre Bestellung 2 ist storniert",
    }
    assert len(list(mailbox.mails())) == 2
    relay.close()
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)
