"""Each event is one notification, to the customer that it names."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from msgspec import structs

from services.notification.cloudevents import data_of, event_of
from services.notification.domain import (
    NOTIFICATIONS,
    PAUSES,
    MailOutcome,
    Notification,
    NotificationState,
    ReportResend,
    ResendMail,
    intend,
)
from services.shared.contract.audit import Action, Actor, By, Kind
from services.shared.contract.decisions import Decision, Message, NotFound, Refused, Verdict
from services.shared.contract.events import (
    CONSUMES,
    Line,
    OrderCancelled,
    OrderDelivered,
    OrderEvent,
    OrderPaid,
    OrderPartiallyRefunded,
    OrderRefunded,
    OrderShipped,
    RefundRequested,
    SoldLine,
)
from services.shared.contract.idempotency import Key
from services.shared.database.store import from_document, to_document
from services.shared.mail.outcomes import Sent, Undeliverable
from tests.unit.memory import NOW, Memory

ADA = "ada@shop.example"
BY = By(Actor("boss", Kind.USER), "192.0.2.1")
EVENTS: dict[OrderEvent, tuple[str | None, str]] = {
    OrderPaid(
        order_id="o1", total_price=Decimal("299.99"), currency="USD", products=(SoldLine("p", 1),), email=ADA
    ): (ADA, "Order o1 is paid: 299.99 USD"),
    OrderCancelled(order_id="o1", reason="OUT_OF_STOCK", email=ADA): (
        ADA,
        "Order o1 is cancelled: OUT_OF_STOCK",
    ),
    RefundRequested(order_id="o1", reason="broken"): (None, "A refund of order o1 is asked for: broken"),
    OrderPartiallyRefunded(
        order_id="o1",
        refund_request_id="r1",
        products=(Line("p", 1),),
        amount=Decimal("5.00"),
        refunded_total=Decimal("12.00"),
        currency="USD",
        email=ADA,
    ): (ADA, "5.00 USD of order o1 are refunded, 12.00 USD by now"),
    OrderRefunded(order_id="o1", total_price=Decimal(7), currency="JPY", email=ADA): (
        ADA,
        "Order o1 is refunded: 7 JPY",
    ),
    OrderShipped(order_id="o1", products=(SoldLine("p", 1),), carrier="DHL", email=ADA): (
        ADA,
        "Order o1 is on its way",
    ),
    OrderDelivered(order_id="o1", products=(SoldLine("p", 1),), email=ADA): (ADA, "Order o1 has arrived"),
}


def test_every_event_of_the_queue_has_a_notification() -> None:
    assert {type(event) for event in EVENTS} == set(CONSUMES["notification"]["notifications"])


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.type)
def test_an_event_is_recorded_as_it_would_be_sent(event: OrderEvent) -> None:
    memory = Memory(NOTIFICATIONS)
    message = memory.message(event)
    memory.decide(message)
    recipient, subject = EVENTS[event]
    found = memory.one(Notification, message.id)
    assert structs.replace(found, version=0, data=None) == Notification(
        id=message.id,
        kind=event.type,
        order_id="o1",
        recipient=recipient,
        subject=subject,
        at=NOW,
        untold=True,
    )
    assert found.data is not None
    assert found.data["orderId"] == "o1"
    assert ADA not in str(found.data)


def test_the_same_event_again_is_the_same_notification_even_without_an_inbox() -> None:
    memory = Memory(NOTIFICATIONS)
    message = memory.message(OrderCancelled(order_id="o1", reason="x", email=ADA))
    memory.decide(message)
    assert memory.decide(message).verdict is Verdict.DUPLICATE
    assert len(memory.all(Notification)) == 1


# --- with a mail server -----------------------------------------------------------------------------------

CANCELLED = OrderCancelled(order_id="o1", reason="OUT_OF_STOCK", email=ADA)


def sending(memory: Memory, event: OrderEvent = CANCELLED) -> Message:
    """A message whose notification is stored as the engine does before it sends the mail."""
    message = memory.message(event)
    intent = intend(None, message)
    assert intent is not None
    memory.store([intent])
    return message


def ended(message: Message, result: Sent | Undeliverable) -> Message:
    assert isinstance(message.body, OrderEvent)
    return structs.replace(message, body=MailOutcome(message.body, result))


def test_a_mail_is_stored_as_waiting_before_it_is_sent() -> None:
    memory = Memory(NOTIFICATIONS)
    message = sending(memory)
    notification = memory.one(Notification, message.id)
    assert notification.state is NotificationState.WAITING
    assert intend(notification, message) is notification


def test_what_names_no_customer_is_recorded_and_sent_to_nobody() -> None:
    memory = Memory(NOTIFICATIONS)
    message = memory.message(RefundRequested(order_id="o1", reason="broken"))
    assert intend(None, message) is None
    memory.decide(message)
    assert memory.one(Notification, message.id).state is NotificationState.RECORDED


def test_a_refund_that_is_asked_for_is_told_to_the_customer_whom_the_event_names() -> None:
    memory = Memory(NOTIFICATIONS)
    message = sending(memory, RefundRequested(order_id="o1", reason="broken", email=ADA))
    assert memory.one(Notification, message.id).recipient == ADA


@pytest.mark.parametrize(
    ("result", "state", "reason"),
    [
        (Sent(), NotificationState.SENT, ""),
        (Undeliverable("550 no such user"), NotificationState.FAILED, "550 no such user"),
    ],
)
def test_what_became_of_a_mail_is_on_its_notification_and_it_is_not_sent_again(
    result: Sent | Undeliverable, state: NotificationState, reason: str
) -> None:
    memory = Memory(NOTIFICATIONS)
    message = sending(memory)
    memory.decide(ended(message, result))
    notification = memory.one(Notification, message.id)
    assert (notification.state, notification.reason) == (state, reason)
    assert intend(notification, message) is None
    assert memory.decide(message).verdict is Verdict.DUPLICATE
    assert memory.decide(ended(message, Sent())).verdict is Verdict.DUPLICATE
    assert memory.one(Notification, message.id) == notification


def test_what_was_recorded_without_a_mail_server_is_not_sent_once_there_is_one() -> None:
    memory = Memory(NOTIFICATIONS)
    message = memory.message(CANCELLED)
    memory.decide(message)
    assert intend(memory.one(Notification, message.id), message) is None


def test_what_waits_when_mail_is_switched_off_is_recorded() -> None:
    memory = Memory(NOTIFICATIONS)
    message = sending(memory)
    memory.decide(message)
    assert memory.one(Notification, message.id).state is NotificationState.RECORDED


def test_a_notification_of_an_older_service_is_recorded_and_no_mail_waits() -> None:
    memory = Memory(NOTIFICATIONS)
    message = memory.message(CANCELLED)
    memory.decide(message)
    document = to_document(memory.one(Notification, message.id))
    del document["state"], document["reason"]
    assert from_document(Notification, document).state is NotificationState.RECORDED


def test_the_logs_know_why_a_mail_failed_and_not_whom_it_was_for() -> None:
    memory = Memory(NOTIFICATIONS)
    message = sending(memory)
    memory.decide(ended(message, Undeliverable("550 no such user")))
    standing = memory.one(Notification, message.id).standing
    assert standing == ("o1", "FAILED", ("for the customer", "550 no such user"))


# --- once more --------------------------------------------------------------------------------------------


def told(memory: Memory, event: OrderEvent = CANCELLED) -> Notification:
    """A notification whose mail was sent."""
    message = sending(memory, event)
    memory.decide(ended(message, Sent()))
    return memory.one(Notification, message.id)


def asked_again(memory: Memory, notification: Notification, key: Key | None = None) -> Decision:
    command = ResendMail(notification_id=notification.id, key=key)
    return memory.handle(command, by=BY)


def reported(memory: Memory, notification: Notification, result: Sent | Undeliverable | None) -> Notification:
    resend = memory.one(Notification, notification.id).resend
    assert resend is not None
    report = ReportResend(notification_id=notification.id, resend_id=resend.id, result=result)
    memory.handle(report)
    return memory.one(Notification, notification.id)


@pytest.mark.parametrize(
    ("result", "state", "reason"),
    [
        (Sent(), NotificationState.SENT, ""),
        (Undeliverable("550 no such user"), NotificationState.FAILED, "550 no such user"),
    ],
)
def test_a_mail_is_sent_once_more_as_another_and_what_became_of_it_is_told(
    result: Sent | Undeliverable, state: NotificationState, reason: str
) -> None:
    memory = Memory(NOTIFICATIONS)
    before = told(memory)
    (entry,) = asked_again(memory, before).audit
    assert (entry.action, entry.subject) == (Action.MAIL_RESENT, before.order_id)
    waiting = memory.one(Notification, before.id)
    assert waiting.resend is not None
    assert waiting.resend.id != before.id
    after = reported(memory, before, result)
    assert (after.state, after.reason, after.resend) == (state, reason, None)


def test_what_the_mail_server_may_take_later_is_tried_ever_later() -> None:
    memory = Memory(NOTIFICATIONS)
    before, dues = told(memory), []
    asked_again(memory, before)
    for _ in range(5):
        resend = reported(memory, before, None).resend
        assert resend is not None
        dues.append(resend.due - NOW)
    assert dues == [PAUSES[0], PAUSES[1], PAUSES[2], PAUSES[2], PAUSES[2]]


def test_the_event_that_comes_again_meanwhile_sends_nothing() -> None:
    memory = Memory(NOTIFICATIONS)
    message = sending(memory)
    memory.decide(ended(message, Sent()))
    asked_again(memory, memory.one(Notification, message.id))
    assert intend(memory.one(Notification, message.id), message) is None
    assert memory.decide(message).verdict is Verdict.DUPLICATE


def test_whoever_asks_with_the_same_key_again_is_sent_one_mail() -> None:
    memory = Memory(NOTIFICATIONS)
    before, key = told(memory), Key("resend-mail/boss/key", "hash")
    asked_again(memory, before, key)
    reported(memory, before, Sent())
    again = asked_again(memory, before, key)
    assert (again.replayed, again.audit) == (True, ())
    assert memory.one(Notification, before.id).resend is None


def test_a_report_about_an_earlier_mail_changes_nothing() -> None:
    memory = Memory(NOTIFICATIONS)
    before = told(memory)
    asked_again(memory, before)
    late = ReportResend(notification_id=before.id, resend_id="earlier", result=Undeliverable("550"))
    assert memory.handle(late).changed == ()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"recipient": None}, "for the shop's staff"),
        ({"recipient": "erased@customer.invalid"}, "the customer was erased"),
        ({"state": NotificationState.WAITING}, "is on its way"),
        ({"data": None}, "was not kept"),
    ],
)
def test_what_cannot_be_sent_once_more_is_refused_and_why_is_said(change: dict[str, Any], says: str) -> None:
    memory = Memory(NOTIFICATIONS)
    before = structs.replace(told(memory), **change)
    memory.store([before])
    with pytest.raises(Refused, match=says):
        asked_again(memory, before)


def test_what_is_on_its_way_is_not_sent_a_third_time() -> None:
    memory = Memory(NOTIFICATIONS)
    before = told(memory)
    asked_again(memory, before)
    with pytest.raises(Refused, match="is on its way"):
        asked_again(memory, before)


def test_of_what_is_not_there_nothing_is_sent() -> None:
    with pytest.raises(NotFound):
        Memory(NOTIFICATIONS).handle(ResendMail(notification_id="none"))


@pytest.mark.parametrize("event", EVENTS)
def test_an_event_is_put_together_again_from_what_is_kept_of_it(event: OrderEvent) -> None:
    kept = msgspec.json.decode(msgspec.json.encode(data_of(event)))
    email = getattr(event, "email", None)
    again = event_of(event.type, kept, email or ADA)
    assert again == structs.replace(event, email=email or ADA)
