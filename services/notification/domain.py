"""What customers are told: one notification per event, recorded as it would be sent. Mail comes later."""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, ClassVar, Final

from services.shared.contract.decisions import (
    Aggregate,
    Decision,
    Domain,
    Loaded,
    Message,
    Ref,
    Standing,
    Verdict,
)
from services.shared.contract.events import (
    OrderCancelled,
    OrderEvent,
    OrderPaid,
    OrderRefunded,
    RefundRequested,
)


class Notification(Aggregate, frozen=True, kw_only=True):
    """`_id` is the event's id: a repeated event is the same notification."""

    collection: ClassVar[str] = "notifications"
    # The event's type.
    kind: str
    order_id: str
    # None where the event names no customer: such a notification is for the shop's staff.
    recipient: str | None
    subject: str
    at: datetime

    @property
    def standing(self) -> Standing:
        """Without the recipient: addresses are nothing for logs."""
        return Standing(self.order_id, "RECORDED", (f"for the {'customer' if self.recipient else 'staff'}",))


SUBJECTS: Final[dict[type[OrderEvent], Callable[[Any], str]]] = {
    OrderPaid: lambda event: f"Order {event.order_id} is paid: {event.total_price} {event.currency}",
    OrderCancelled: lambda event: f"Order {event.order_id} is cancelled: {event.reason}",
    RefundRequested: lambda event: f"A refund of order {event.order_id} is asked for: {event.reason}",
    OrderRefunded: lambda event: f"Order {event.order_id} is refunded: {event.total_price} {event.currency}",
}


def _home(message: Message) -> Ref:
    return Ref(Notification, message.id)


def _reads(_: Message, __: Loaded) -> Iterable[Ref]:
    return ()


def _decide(loaded: Loaded, message: Message) -> Decision:
    if loaded.get(Notification, message.id) is not None:
        return Decision(verdict=Verdict.DUPLICATE)
    event: OrderEvent = message.body  # type: ignore[assignment]  # its queue holds no other
    notification = Notification(
        id=message.id,
        kind=event.type,
        order_id=event.order_id,
        recipient=getattr(event, "email", None),
        subject=SUBJECTS[type(event)](event),
        at=message.at,
    )
    return Decision(changed=(notification,))


NOTIFICATIONS: Final = Domain(home=_home, reads=_reads, decide=_decide)
