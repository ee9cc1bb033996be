"""Sending mail, with the notification stored as WAITING: once an event, as far as SMTP can tell."""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from datetime import datetime, timedelta
from email.headerregistry import Address
from email.message import EmailMessage
from functools import partial
from typing import Final

from services.notification import mail
from services.notification.domain import MailOutcome, Notification, intend
from services.shared.contract.decisions import Message
from services.shared.contract.events import NOTIFICATIONS, OrderEvent
from services.shared.engine.effects import Effects
from services.shared.mail.outcomes import Sent, Undeliverable
from services.shared.mail.sending import Post

# As long as mail servers usually go on trying.
_GIVEN_UP_AFTER: Final = timedelta(days=3)
# Whose outcome is known here, whether or not it is stored yet.
REMEMBERED: Final = 10_000


class Mailing:
    """What is sent, and what was: an event that comes again meanwhile is not sent again."""

    def __init__(self, post: Post) -> None:
        self._post = post
        self._under_way: dict[str, asyncio.Task[Sent | Undeliverable]] = {}
        self._known: OrderedDict[str, Sent | Undeliverable] = OrderedDict()

    def effects(self) -> Mapping[str, Effects]:
        """What the engine performs before it decides, by queue."""
        return {NOTIFICATIONS: Effects(intend, self.perform)}

    async def perform(self, notification: Notification, message: Message) -> MailOutcome:
        """Raises Deferred while the mail server has not taken it on."""
        event = message.body
        assert isinstance(event, OrderEvent)  # noqa: S101  # its queue holds no other
        result = self._known.get(notification.id)
        if result is None:
            result = await asyncio.shield(self._task(notification, message, event))
        return MailOutcome(event, result)

    def _task(
        self, notification: Notification, message: Message, event: OrderEvent
    ) -> asyncio.Task[Sent | Undeliverable]:
        id_ = notification.id
        if id_ not in self._under_way:
            task = asyncio.create_task(self._send(notification, message, event))
            self._under_way[id_] = task
            task.add_done_callback(partial(self._ended, id_))
        return self._under_way[id_]

    def _ended(self, id_: str, task: asyncio.Task[Sent | Undeliverable]) -> None:
        del self._under_way[id_]
        if not task.cancelled() and task.exception() is None:
            self._known[id_] = task.result()
            if len(self._known) > REMEMBERED:
                self._known.popitem(last=False)

    async def _send(
        self, notification: Notification, message: Message, event: OrderEvent
    ) -> Sent | Undeliverable:
        def composed(to: Address) -> EmailMessage:
            return mail.compose(notification.id, to, notification.at, event, self._post.sender)

        # The notification's, not the event's: the customer may have been erased since.
        why = given_up(notification.at, message.at)
        return await self._post.send(notification.recipient or "", composed, why)


def given_up(since: datetime, now: datetime) -> str:
    """Why a mail is not tried any more that is tried `since` then; empty while it is."""
    return f"given up after {_GIVEN_UP_AFTER.days} days" if now - since >= _GIVEN_UP_AFTER else ""
