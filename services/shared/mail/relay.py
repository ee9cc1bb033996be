"""The mail server that takes our mails on: a few connections to it, each for one mail at a time."""

import asyncio
import re
import socket
import ssl
import time
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP as BY_SMTP
from email.policy import SMTPUTF8 as BY_SMTPUTF8
from pathlib import Path
from typing import Final

from aiosmtplib import SMTP, SMTPException, SMTPResponseException
from aiosmtplib.errors import SMTPDataError, SMTPRecipientRefused

from services.shared import emails
from services.shared.contract.decisions import Deferred
from services.shared.contract.events import LONGEST_TEXT
from services.shared.mail.lanes import Hung, Lanes
from services.shared.mail.outcomes import Sent, Undeliverable
from services.shared.mail.settings import Server

CONNECT_SECONDS: Final = 10.0
# After a failure to connect so long nobody tries, so that what comes meanwhile is put off at once.
AWAY_SECONDS: Final = 5.0
# An idle connection is used again within this time; servers close older ones.
KEPT_SECONDS: Final = 30.0
# About a login, and so about us: RFC 4954.
ABOUT_LOGINS: Final = frozenset({530, 534, 535, 538})
# RFC 3463: about rights and policy, and so about us, too.
_ABOUT_POLICY: Final = re.compile(r"5\.7\.")


class Relay:
    """Hands mails to one server, which delivers them."""

    def __init__(
        self, server: Server, sender: str, authorities: Path | None, *, connections: int, timeout: float
    ) -> None:
        """`timeout`: seconds for one mail, once there is a connection; `authorities` as PEM."""
        self._server, self._sender, self._timeout = server, sender, timeout
        self._tls = None if server.scheme == "smtp" else _context(authorities)
        self._lanes = Lanes(connections)
        # Connections, and when they were last used (monotonic seconds).
        self._idle: list[tuple[SMTP, float]] = []
        self._away_until, self._trouble = 0.0, ""

    async def send(self, mail: EmailMessage, to: Address) -> Sent | Undeliverable:
        """What the server says to the mail. Raises Deferred where it may say something else later."""
        async with self._lanes.turn(to.domain):
            connection = await self._connection()
            good = False
            try:
                async with asyncio.timeout(self._timeout):
                    result = await self._hand_over(connection, mail, to.addr_spec)
                good = True
            except TimeoutError as error:
                raise Hung(f"no answer within {self._timeout:g} s") from error
            except (SMTPException, OSError) as error:
                raise Deferred(said(error)) from error
            finally:
                self._give_back(connection, good=good)
            return result

    def close(self) -> None:
        """Ends the connections that nobody uses."""
        while self._idle:
            self._idle.pop()[0].close()

    async def _hand_over(self, connection: SMTP, mail: EmailMessage, to: str) -> Sent | Undeliverable:
        beyond_ascii = not to.isascii()
        if beyond_ascii and not connection.supports_extension("smtputf8"):
            return Undeliverable("the mail server takes no addresses beyond ASCII")
        encoding = "utf-8" if beyond_ascii else "ascii"
        content = mail.as_bytes(policy=BY_SMTPUTF8 if beyond_ascii else BY_SMTP)
        await connection.mail(self._sender, options=["SMTPUTF8"] if beyond_ascii else None, encoding=encoding)
        try:
            await connection.rcpt(to, encoding=encoding)
            await connection.data(content)
        except (SMTPRecipientRefused, SMTPDataError) as error:
            if not is_final(error.code, error.message):
                raise
            await connection.rset()
            return Undeliverable(said(error))
        return Sent()

    async def _connection(self) -> SMTP:
        while self._idle:
            kept, since = self._idle.pop()
            if kept.is_connected and time.monotonic() - since < KEPT_SECONDS:
                return kept
            kept.close()
        if time.monotonic() < self._away_until:
            raise Deferred(self._trouble)
        server = self._server
        new = SMTP(
            hostname=server.host,
            port=server.port,
            username=server.user,
            password=server.password,
            local_hostname=socket.gethostname(),
            use_tls=server.scheme == "smtps",
            start_tls=server.scheme == "smtp+starttls",
            tls_context=self._tls,
            timeout=self._timeout,
        )
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await new.connect()
        except (SMTPException, OSError, TimeoutError) as error:
            new.close()
            self._away_until = time.monotonic() + AWAY_SECONDS
            self._trouble = f"the mail server: {said(error)}"
            raise Deferred(self._trouble) from error
        except BaseException:
            new.close()
            raise
        return new

    def _give_back(self, connection: SMTP, *, good: bool) -> None:
        """For the next mail; what is not known to be at a mail's end is closed."""
        if good and connection.is_connected:
            self._idle.append((connection, time.monotonic()))
        else:
            connection.close()


def is_final(code: int, message: str) -> bool:
    """Whether a refusal of a recipient, or of a mail, is about them, and for good."""
    about_us = code in ABOUT_LOGINS or _ABOUT_POLICY.match(message) is not None
    return 500 <= code < 600 and not about_us  # noqa: PLR2004  # RFC 5321: permanent


def said(error: Exception) -> str:
    """In a line, without addresses."""
    told = f"{error.code} {error.message}" if isinstance(error, SMTPResponseException) else str(error)
    return emails.hidden(" ".join(told.split()) or type(error).__name__)[:LONGEST_TEXT]


def _context(authorities: Path | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if authorities is not None:
        context.load_verify_locations(authorities)
    return context
