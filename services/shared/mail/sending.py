"""Mails on their way to the mail server, counted."""

import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from email.headerregistry import Address
from email.message import EmailMessage

from services.shared import emails
from services.shared.contract.decisions import Deferred
from services.shared.mail import metrics, writing
from services.shared.mail.outcomes import Sent, Undeliverable
from services.shared.mail.relay import Relay
from services.shared.mail.settings import MailSettings
from services.shared.mail.writing import Sender

log = logging.getLogger(__name__)


class Post:
    """Sends mails of one sender by one server."""

    def __init__(self, relay: Relay, sender: Sender) -> None:
        self._relay = relay
        self.sender = sender

    async def send(
        self, recipient: str, compose: Callable[[Address], EmailMessage], given_up: str = ""
    ) -> Sent | Undeliverable:
        """Raises Deferred where the server may say something else later.

        Once it was `given_up`, which says why, nobody asks later: then it is Undeliverable.
        """
        began, told = time.perf_counter(), "deferred"
        try:
            result = await self._handed_over(recipient, compose)
            told = "sent" if isinstance(result, Sent) else "failed"
        except Deferred as error:
            if not given_up:
                raise
            told = "failed"
            result = Undeliverable(f"{given_up}: {error}")
        finally:
            metrics.DURATION.labels(told).observe(time.perf_counter() - began)
        return result

    async def _handed_over(
        self, recipient: str, compose: Callable[[Address], EmailMessage]
    ) -> Sent | Undeliverable:
        try:
            to = writing.mailbox_of(recipient)
        except ValueError as error:
            return Undeliverable(str(error))
        if emails.is_nobodys(to.domain):
            return Undeliverable("the address is nobody's")
        return await self._relay.send(compose(to), to)


@asynccontextmanager
async def post_office(settings: MailSettings) -> AsyncIterator[Post | None]:
    """None where no mail is sent: there is no SMTP_URL."""
    server = settings.server
    if server is None:
        yield None
        return
    log.info("mail is sent by %s, port %d (%s)", server.host, server.port, server.scheme)
    relay = Relay(
        server,
        settings.sender.addr_spec,
        settings.smtp_ca_file,
        connections=settings.smtp_connections,
        timeout=settings.smtp_timeout_seconds,
    )
    try:
        yield Post(relay, Sender(settings.sender, settings.answers_go_to, settings.mail_locale))
    finally:
        relay.close()
