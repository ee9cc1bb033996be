"""A real mail server (aiosmtpd), which does what the name before the @ says, and keeps what it takes on."""

import asyncio
import ssl
import warnings
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP as BY_SMTP
from typing import Any, Final

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.ports import free_port

LOGIN: Final = LoginPassword(b"shop", b"s3:cret")
REFUSALS: Final = {
    "nobody": "550 5.1.1 <nobody@customer.example>: no such user here",
    "policy": "550 5.7.1 relaying is denied",
    "login": "530 log in first",
}


class MailServer:
    """`port` is on this machine."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.mails: list[EmailMessage] = []
        # Recipient -> how often it was named.
        self.named: Counter[str] = Counter()
        # Connections so far, and what each of them was.
        self.sessions: list[Session] = []

    def to(self, address: str) -> list[EmailMessage]:
        return [mail for mail in self.mails if mail["To"] == address]

    # What aiosmtpd calls.

    async def handle_EHLO(  # noqa: N802  # aiosmtpd's name
        self, _: SMTP, session: Session, __: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        self.sessions.append(session)
        return responses

    async def handle_RCPT(  # noqa: N802  # aiosmtpd's name
        self, _: SMTP, __: Session, envelope: Envelope, address: str, ___: list[str]
    ) -> str:
        self.named[address] += 1
        name = _name(address)
        if name == "tarpit":
            await asyncio.Event().wait()
        if name == "busy" and self.named[address] == 1:
            return "450 4.2.1 <busy@customer.example>: try again later"
        if refusal := REFUSALS.get(name):
            return refusal
        envelope.rcpt_tos.append(address)
        return "250 ok"

    async def handle_DATA(self, _: SMTP, __: Session, envelope: Envelope) -> str:  # noqa: N802  # aiosmtpd's name
        recipient = envelope.rcpt_tos[0]
        if _name(recipient) == "full":
            return "552 5.2.2 <full@customer.example>: mailbox full"
        self.mails.append(message_from_bytes(envelope.original_content or b"", policy=BY_SMTP))
        if _name(recipient) == "lost" and self.named[recipient] == 1:
            # It has the mail, and nobody hears of that.
            await asyncio.Event().wait()
        return "250 taken"


def _name(address: str) -> str:
    """What the server does: `tarpit+7@slow.example` is one of many who hang."""
    return address.partition("@")[0].partition("+")[0]


def _authenticate(_: SMTP, __: Session, ___: Envelope, ____: str, given: Any) -> AuthResult:
    return AuthResult(success=given == LOGIN)


@asynccontextmanager
async def mail_server(
    *,
    tls: ssl.SSLContext | None = None,
    starttls: ssl.SSLContext | None = None,
    login: bool = False,
    port: int | None = None,
) -> AsyncIterator[MailServer]:
    """`tls`: from the start; `starttls`: before anything else is taken."""
    found = MailServer(port or free_port())

    def protocol() -> SMTP:
        with warnings.catch_warnings():
            # It knows of no TLS but STARTTLS, and warns of a login without.
            warnings.simplefilter("ignore")
            return SMTP(
                found,
                hostname="mail.example",
                enable_SMTPUTF8=False,
                tls_context=starttls,
                require_starttls=starttls is not None,
                auth_required=login,
                auth_require_tls=tls is None,
                authenticator=_authenticate,
            )

    server = await asyncio.get_running_loop().create_server(
        protocol,
        "127.0.0.1",
        found.port,
        ssl=tls,
    )
    try:
        yield found
    finally:
        server.close()
