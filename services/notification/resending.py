"""Mails that somebody has sent once more, on their way to the mail server: by one replica at a time.

What became of one is stored after it was sent: whoever dies between the two leaves it to be sent again, as
the same mail.
"""

import asyncio
import logging
from email.headerregistry import Address
from email.message import EmailMessage
from typing import Final

from services.notification import mail, queries
from services.notification.cloudevents import event_of
from services.notification.domain import Notification, ReportResend, Resend
from services.notification.effects import given_up
from services.shared.contract.decisions import Deferred
from services.shared.database.new_id import new_id
from services.shared.engine.holding import MARGIN_SECONDS, Holds
from services.shared.engine.life import Engine
from services.shared.mail.outcomes import Sent, Undeliverable
from services.shared.mail.sending import Post

# Under way at a time.
AT_ONCE: Final = 32
# Of one try, so that nobody else begins meanwhile.
LONGEST_SECONDS: Final = MARGIN_SECONDS - 1
# By which a replica holds all of them.
HOLD: Final = "resends"
log = logging.getLogger(__name__)


async def resend(post: Post, engine: Engine) -> None:
    """Work for the background."""
    await Resending(engine, post).run()


class Resending:
    """Of one replica."""

    def __init__(self, engine: Engine, post: Post) -> None:
        self._engine, self._post = engine, post
        self._holds = Holds(engine.store, engine.clock)

    async def run(self) -> None:
        """Until it is cancelled."""
        await self._holds.attend(self._look, "mails to be sent again")

    async def _look(self) -> None:
        await self._holds.keep({HOLD})
        if HOLD in self._holds:
            due = await queries.to_be_resent(self._engine.store, self._engine.clock.now(), AT_ONCE)
            await asyncio.gather(*(self._handle(each, each.resend) for each in due if each.resend))

    async def _handle(self, notification: Notification, resend: Resend) -> None:
        """Whatever happens is about this mail alone. Raises Unavailable."""
        why = given_up(resend.asked_at, self._engine.clock.now())
        result: Sent | Undeliverable | None
        try:
            result = await self._sent(notification, resend, why)
        except Exception as error:  # noqa: BLE001  # one that cannot be written holds up no other
            # The text of others may hold the address.
            said = str(error) if isinstance(error, Deferred) else type(error).__name__
            log.warning(
                "a mail of notification %s is not sent again yet: %s",
                *(notification.id, said),
                extra={"order_id": notification.order_id},
            )
            result = Undeliverable(f"{why}: {said}") if why else None
        report = ReportResend(notification_id=notification.id, resend_id=resend.id, result=result)
        await self._engine.execute(report, id_=new_id(), by=None)

    async def _sent(
        self, notification: Notification, resend: Resend, given_up_because: str
    ) -> Sent | Undeliverable:
        """Raises Deferred."""
        to = notification.recipient or ""

        def composed(address: Address) -> EmailMessage:
            event = event_of(notification.kind, notification.data or {}, to)
            sender = self._post.sender
            return mail.compose(resend.id, address, notification.at, event, sender, resend.asked_at)

        try:
            async with asyncio.timeout(LONGEST_SECONDS):
                return await self._post.send(to, composed, given_up_because)
        except TimeoutError as error:
            raise Deferred("the mail server takes too long") from error
