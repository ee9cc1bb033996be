"""What customers are told: one notification an event, and what became of the mail that carries it.

Somebody may have it sent once more: another mail, which says the same.

The notification keeps what happened, for those outside who are told by webhooks: endpoints.py.
"""

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, ClassVar, Final

from msgspec import Struct, structs

from services.notification import endpoints
from services.notification.cloudevents import TYPES, Data, data_of, sequence_of
from services.shared import emails
from services.shared.contract.audit import Action
from services.shared.contract.decisions import (
    Aggregate,
    Decision,
    Domain,
    Loaded,
    Message,
    NotFound,
    Ref,
    Refused,
    Standing,
    Verdict,
    audited,
)
from services.shared.contract.events import (
    OrderCancelled,
    OrderDelivered,
    OrderEvent,
    OrderPaid,
    OrderPartiallyRefunded,
    OrderRefunded,
    OrderShipped,
    RefundRequested,
)
from services.shared.contract.idempotency import Keyed, once
from services.shared.mail.outcomes import Sent, Undeliverable


class NotificationState(StrEnum):
    # No mail is sent: nobody is named, or there is no mail server.
    RECORDED = "RECORDED"
    # Written before the mail server is asked: whoever finds it asks again, about the same mail.
    WAITING = "WAITING"
    # The mail server has taken it on.
    SENT = "SENT"
    # It never will be; `reason` says why.
    FAILED = "FAILED"


# Until a mail that is sent once more is tried again: after the first time, the second, and all others.
PAUSES: Final = (timedelta(seconds=5), timedelta(minutes=1), timedelta(minutes=10))


class Resend(Struct, frozen=True, rename="camel", kw_only=True):
    """A mail that is sent once more, as somebody asked."""

    # Of the new mail.
    id: str
    asked_at: datetime
    # When it is tried, or tried again, and how often it was.
    due: datetime
    tries: int = 0


class Notification(Aggregate, frozen=True, kw_only=True):
    """`_id` is the event's id: a repeated event is the same notification, and the same mail."""

    collection: ClassVar[str] = "notifications"
    # The event's type.
    kind: str
    order_id: str
    # None where the event names no customer: such a notification is for the shop's staff.
    recipient: str | None
    # In a line, for the shop's staff: the mail's own is in the customer's language.
    subject: str
    at: datetime
    state: NotificationState = NotificationState.RECORDED
    # Why it is FAILED, without addresses.
    reason: str = ""
    # What happened, without the address. Older ones do not have it.
    data: Data | None = None
    sequence: int | None = None
    # Nobody has made deliveries to endpoints of it yet.
    untold: bool = False
    # While its mail is sent once more; `state` is that of the mail before, until this one is over.
    resend: Resend | None = None

    @property
    def standing(self) -> Standing:
        """Without the recipient: addresses are nothing for logs."""
        whom = f"for the {'customer' if self.recipient else 'staff'}"
        return Standing(self.order_id, self.state, (whom, *([self.reason] if self.reason else ())))


class MailOutcome(Struct, frozen=True):
    """What became of the mail that an event asked for."""

    event: OrderEvent
    result: Sent | Undeliverable

    @property
    def type(self) -> str:
        return self.event.type


class ResendMail(Keyed, frozen=True, kw_only=True):
    type: ClassVar[str] = "MAIL_ASKED_AGAIN"
    notification_id: str


class ReportResend(Struct, frozen=True, kw_only=True):
    """What the mail server did with it; None where it may take it later."""

    type: ClassVar[str] = "MAIL_SENT_AGAIN"
    notification_id: str
    resend_id: str
    result: Sent | Undeliverable | None


SUBJECTS: Final[dict[type[OrderEvent], Callable[[Any], str]]] = {
    OrderPaid: lambda event: f"Order {event.order_id} is paid: {event.total_price} {event.currency}",
    OrderCancelled: lambda event: f"Order {event.order_id} is cancelled: {event.reason}",
    RefundRequested: lambda event: f"A refund of order {event.order_id} is asked for: {event.reason}",
    OrderPartiallyRefunded: lambda event: (
        f"{event.amount} {event.currency} of order {event.order_id} are refunded,"
        f" {event.refunded_total} {event.currency} by now"
    ),
    OrderRefunded: lambda event: f"Order {event.order_id} is refunded: {event.total_price} {event.currency}",
    OrderShipped: lambda event: f"Order {event.order_id} is on its way",
    OrderDelivered: lambda event: f"Order {event.order_id} has arrived",
}


def home(message: Message) -> Ref:
    if isinstance(message.body, endpoints.Command):
        return Ref(endpoints.Endpoint, message.body.endpoint_id)
    if isinstance(message.body, ResendMail | ReportResend):
        return Ref(Notification, message.body.notification_id)
    return Ref(Notification, message.id)


def intend(notification: Notification | None, message: Message) -> Notification | None:
    """The notification to store before its mail is sent; None where there is none to send (any more)."""
    if notification is None:
        notification = _noted(message)
        if notification.recipient is None:
            return None
        return structs.replace(notification, state=NotificationState.WAITING)
    return notification if notification.state is NotificationState.WAITING else None


def _reads(_: Message, __: Loaded) -> Iterable[Ref]:
    return ()


def _decide(loaded: Loaded, message: Message) -> Decision:
    if isinstance(message.body, endpoints.Command):
        return endpoints.decide(loaded, message, message.body)
    if isinstance(message.body, ResendMail | ReportResend):
        return _resending(loaded, message, message.body)
    known = loaded.get(Notification, message.id)
    if known is not None and known.state is not NotificationState.WAITING:
        return Decision(verdict=Verdict.DUPLICATE)
    match message.body:
        case MailOutcome(result=Sent()):
            after = structs.replace(known or _noted(message), state=NotificationState.SENT)
        case MailOutcome(result=Undeliverable(reason=reason)):
            failed = NotificationState.FAILED
            after = structs.replace(known or _noted(message), state=failed, reason=reason)
        case _:  # no mail is sent here, or not any more
            after = structs.replace(known or _noted(message), state=NotificationState.RECORDED)
    return Decision(changed=(after,))


def _resending(loaded: Loaded, message: Message, command: ResendMail | ReportResend) -> Decision:
    """The reply is the notification. Raises NotFound and Refused."""
    before = loaded.get(Notification, command.notification_id)
    if before is None:
        raise NotFound("there is no such notification")
    if isinstance(command, ReportResend):
        after = _reported(before, command, message.at)
        return Decision(changed=() if after == before else (after,), reply=after)
    check_resendable(before)
    after = structs.replace(
        before, resend=Resend(id=message.id, asked_at=message.at, due=message.at), reason=""
    )
    detail = f"{before.kind} {before.id}"
    decision = Decision(changed=(after,), reply=after)
    return audited(decision, message, Action.MAIL_RESENT, before.order_id, detail=detail)


def check_resendable(notification: Notification) -> None:
    """Raises Refused where its mail cannot be sent once more: the text says why."""
    if notification.recipient is None:
        raise Refused("it is for the shop's staff: there is no mail of it")
    if emails.is_nobodys(notification.recipient):
        raise Refused("the customer was erased: there is no address to send it to any more")
    if notification.state is NotificationState.WAITING or notification.resend is not None:
        raise Refused("its mail is on its way: the mail server has not taken it yet")
    if notification.data is None or notification.kind not in TYPES:
        raise Refused("what its mail said was not kept: an older release wrote it")


def _reported(before: Notification, report: ReportResend, at: datetime) -> Notification:
    resend = before.resend
    if resend is None or resend.id != report.resend_id:
        return before
    match report.result:
        case Sent():
            return structs.replace(before, state=NotificationState.SENT, reason="", resend=None)
        case Undeliverable(reason=reason):
            return structs.replace(before, state=NotificationState.FAILED, reason=reason, resend=None)
        case _:
            pause = PAUSES[min(resend.tries, len(PAUSES) - 1)]
            later = structs.replace(resend, tries=resend.tries + 1, due=at + pause)
            return structs.replace(before, resend=later)


def _noted(message: Message) -> Notification:
    body = message.body
    # Its queue holds no other.
    event: OrderEvent = body.event if isinstance(body, MailOutcome) else body  # type: ignore[assignment]
    return Notification(
        id=message.id,
        kind=event.type,
        order_id=event.order_id,
        recipient=getattr(event, "email", None),
        subject=SUBJECTS[type(event)](event),
        at=message.at,
        data=data_of(event),
        sequence=sequence_of(event),
        untold=True,
    )


NOTIFICATIONS: Final = once(Domain(home=home, reads=_reads, decide=_decide))
