"""A mail server that delivers nothing: what it takes on is a file each, and a line of its log.

`python -m dev.mailbox PORT FOLDER`: on this machine alone, for whatever addresses.
"""

import asyncio
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP as BY_SMTP
from hashlib import sha256
from pathlib import Path

from aiosmtpd.smtp import SMTP, Envelope, Session

from dev.files import write_private
from dev.processes import Program
from dev.readiness import READY_WITHIN_SECONDS
from dev.services import REPOSITORY
from sagactl.polling import until

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Mailbox:
    """Where the mails of one stack end."""

    folder: Path
    port: int

    @property
    def url(self) -> str:
        """For SMTP_URL."""
        return f"smtp://127.0.0.1:{self.port}"

    def programs(self) -> Sequence[Program]:
        self.folder.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "dev.mailbox", str(self.port), str(self.folder)]
        return [Program("mailbox", command, os.environ, REPOSITORY)]

    async def ready(self) -> None:
        await until(self._listens, within=READY_WITHIN_SECONDS, what="the mailbox to listen")

    async def _listens(self) -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return False
        writer.close()
        await writer.wait_closed()
        return True

    def mails(self) -> Iterator[EmailMessage]:
        """What came, in the order of names, which is no order of time."""
        for file in sorted(self.folder.glob("*.eml")):
            yield message_from_bytes(file.read_bytes(), policy=BY_SMTP)


class _Keeper:
    """What aiosmtpd calls for each mail."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def handle_DATA(self, _: SMTP, __: Session, envelope: Envelope) -> str:  # noqa: N802  # aiosmtpd's name
        content = envelope.original_content or b""
        mail = message_from_bytes(content, policy=BY_SMTP)
        # One that is sent again is the same file.
        name = sha256(str(mail["Message-ID"]).encode()).hexdigest()[:32]
        write_private(self._folder / f"{name}.eml", content.decode(errors="replace"))
        log.info("to %s: %s", ", ".join(envelope.rcpt_tos), mail["Subject"])
        return "250 kept"


async def main(port: int, folder: Path) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: SMTP(_Keeper(folder), enable_SMTPUTF8=True, hostname="localhost"), "127.0.0.1", port
    )
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s")
    log.setLevel(logging.INFO)
    asyncio.run(main(int(sys.argv[1]), Path(sys.argv[2])))
