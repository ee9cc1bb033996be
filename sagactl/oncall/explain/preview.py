"""Dry runs: what the services' own rules would do with a message, or a command. Nothing is done."""

from typing import Final, cast

from sagactl.oncall.explain.explanation import Outcome, Preview
from sagactl.oncall.explain.marks import CONSUMER, Letter, Marks
from services.fulfilment.domain import SHIPPING
from services.inventory.domain import domain as inventory
from services.notification.domain import NOTIFICATIONS
from services.order import saga
from services.order.commands import CancelOrder, RequestRefund, TimeOut
from services.order.domain import DOMAIN as ORDERS
from services.order.model import Order
from services.payment.domain import DOMAIN as PAYMENTS
from services.payment.domain import intend
from services.payment.payment import Payment, PaymentState
from services.payment.refunds import refund_of
from services.shared.contract import wire
from services.shared.contract.decisions import (
    Aggregate,
    AtHand,
    Decision,
    Domain,
    Message,
    Premature,
    Refused,
    Rejected,
    Verdict,
    still_needed,
)
from services.shared.contract.events import Event, RefundPayment
from services.shared.contract.identity import HTTP

HANDLED: Final = Preview(Outcome.NOTHING, "it was handled already: nothing would happen")


def of_letter(marks: Marks, letter: Letter) -> Preview:
    """What redriving it would do."""
    if marks.case.unreadable:
        return Preview(Outcome.FAILS, str(marks.case.unreadable[0]))
    if marks.handled(letter.queue, letter.id):
        return HANDLED
    try:
        event = wire.decode(letter.queue, letter.body)
    except wire.InvalidMessage as error:
        return Preview(Outcome.FAILS, f"it cannot be read: {error}")
    return of_event(marks, letter.queue, letter.id, event)


def of_event(marks: Marks, queue: str, id_: str, event: Event) -> Preview:
    """What its consumer would do with an event that it has not handled."""
    message = Message(id=id_, source=queue, body=event, at=marks.at)
    domain = domain_of(marks, CONSUMER[queue])
    loaded = marks.loaded()
    while missing := still_needed(domain, (message,), loaded):
        loaded.update(dict.fromkeys(missing))
    home = loaded[domain.home(message)]
    try:
        if CONSUMER[queue] == "payment":
            intent = intend(cast("Payment | None", home), message)
            if intent is not None:
                return _asks(intent, message)
        decision = domain.decide(AtHand(loaded), message)
    except Premature as error:
        return Preview(Outcome.IS_RETRIED, f"it is ahead of its cause: {error}")
    except Rejected as error:
        return Preview(Outcome.FAILS, f"it would be rejected again: {error}")
    except Exception as error:  # noqa: BLE001  # whatever it is, handling it would raise it
        return Preview(Outcome.FAILS, f"it would fail: {type(error).__name__}: {error}")
    return _told(home, decision)


def of_command(order: Order, command: CancelOrder | RequestRefund | TimeOut, marks: Marks) -> Preview:
    """`FAILS` with the table's own sentence, where it forbids the command."""
    message = Message(id="", source=HTTP, body=command, at=marks.at)
    try:
        decision = saga.advance(order, message)
    except Refused as error:
        return Preview(Outcome.FAILS, str(error))
    return _told(order, decision)


def domain_of(marks: Marks, service: str) -> Domain:
    domains = {
        "order": ORDERS,
        "inventory": inventory(auto_compensation=bool(marks.auto_compensation)),
        "payment": PAYMENTS,
        "notification": NOTIFICATIONS,
        "fulfilment": SHIPPING,
    }
    return domains[service]


def _asks(intent: Payment, message: Message) -> Preview:
    what, key = ("charge", intent.capture_key)
    if intent.state is PaymentState.VOIDING:
        what = "end of the charge"
    event = message.body
    if isinstance(event, RefundPayment) and (refund := refund_of(intent, event)) is not None:
        what, key = ("refund", intent.refund_key(refund))
    return Preview(Outcome.ASKS_THE_GATEWAY, f"would ask the payment gateway for the {what} {key}")


def _told(home: Aggregate | None, decision: Decision) -> Preview:
    emits = tuple(event.type for event in decision.events)
    if not decision.changed and not emits:
        return Preview(Outcome.NOTHING, "nothing would happen")
    # A decision's first change is its home's.
    after = next((each for each in decision.changed if home is None or type(each) is type(home)), home)
    says = f"{_state(home)} -> {_state(after)}" if _state(home) != _state(after) else f"stays {_state(after)}"
    if decision.verdict is Verdict.ATTENTION:
        return Preview(Outcome.ATTENTION, f"{says}, marked for attention", emits)
    return Preview(Outcome.APPLIES, says, emits)


def _state(aggregate: Aggregate | None) -> str:
    standing = aggregate.standing if aggregate is not None else None
    return standing.state if standing is not None else "nothing"
