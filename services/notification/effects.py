"""Sending mail, with the notification stored as WAITING: once an event, as far as SMTP can tell."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from typing import Final

from prometheus_client import Histogram

from services.notification import mail
from services.notification.domain import MailOutcome, Notification, Sent, Undeliverable, intend
from services.notification.mail import Sender
from services.notification.relay import Relay
from services.shared.contract.decisions import Deferred, Message
from services.shared.contract.events import NOTIFICATIONS, OrderEvent
from services.shared.engine.effects import Effects
from services.shared.telemetry import at_zero

# As long as mail servers usually go on trying.
GIVEN_UP_AFTER: Final = timedelta(days=3)
# RFC 2606: nobody's. Erased customers have such an address.
NOBODYS: Final = ".invalid"
# Whose outcome is known here, whether or not it is stored yet.
REMEMBERED: Final = 10_000
MAIL_DURATION: Final = Histogram(
    "sagashop_mail_duration_seconds",
    "Mails handed to the mail server, with the wait for a connection",
    ["result"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)
at_zero(MAIL_DURATION, ["sent", "failed", "deferred"])


class Mailing:
    """What is sent, and what was: an event that comes again meanwhile is not sent again."""

    def __init__(self, relay: Relay, sender: Sender) -> None:
        self._relay, self._sender = relay, sender
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
        began, told = time.perf_counter(), "deferred"
        try:
            result = await self._handed_over(notification, event)
            told = "sent" if isinstance(result, Sent) else "failed"
        except Deferred as error:
            if message.at - notification.at < GIVEN_UP_AFTER:
                raise
            told = "failed"
            result = Undeliverable(f"given up after {GIVEN_UP_AFTER.days} days: {error}")
        finally:
            MAIL_DURATION.labels(told).observe(time.perf_counter() - began)
        return result

    async def _handed_over(self, notification: Notification, event: OrderEvent) -> Sent | Undeliverable:
        # The notification's, not the event's: the customer may have been erased since.
        try:
            to = mail.mailbox_of(notification.recipient or "")
        except ValueError as error:
            return Undeliverable(str(error))
        if to.domain.endswith(NOBODYS):
            return Undeliverable("the address is nobody's")
        written = mail.compose(notification.id, to, notification.at, event, self._sender)
        return await self._relay.send(written, to)
