"""Messages to decisions about payments: what the engine calls. What becomes of a payment is the table's.

Where the gateway is to be asked, the intent is stored first, and decided on is its answer.
"""

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Final, NamedTuple, cast

from msgspec import structs

from services.payment.payment import ChargeOutcome, Payment, PaymentState, RefundOutcome, Told
from services.payment.steps import Trigger
from services.payment.table import PAYMENTS
from services.shared.contract.decisions import Decision, Domain, Loaded, Message, Ref
from services.shared.contract.events import (
    Event,
    OrderConfirmed,
    PaymentFailed,
    PaymentSucceeded,
    RefundPayment,
)
from services.shared.contract.identity import cause
from services.shared.contract.table import NEW, Intent, concluded, marked

# A gateway that wants ever new things of a customer does not fill the document.
TOLD_AT_MOST: Final = 50


def home(message: Message) -> Ref:
    return Ref(Payment, _order_id(message))


def reads(_: Message, __: Loaded) -> Iterable[Ref]:
    return ()


def intend(payment: Payment | None, message: Message) -> Payment | None:
    """The payment to store before the gateway is asked; None where there is nothing to ask it."""
    known, (trigger, kind) = payment or _blank(message), _trigger(message)
    row = PAYMENTS.row(_state(payment), known, trigger, kind)
    if not isinstance(row, Intent):
        return None
    intended = PAYMENTS.entered(row.to, row.record(known, trigger))
    if intended == payment:
        return payment
    since = known.intended_at if _state(payment) is row.to else message.at
    return structs.replace(intended, intended_at=since, updated_at=message.at)


def decide(loaded: Loaded, message: Message) -> Decision:
    """Raises Premature, also where the gateway is to be asked first."""
    before = loaded.get(Payment, _order_id(message))
    trigger, kind = _trigger(message)
    outcome = PAYMENTS.advance(_state(before), before or _blank(message), trigger, kind)
    named: str = kind.type  # type: ignore[attr-defined]  # all have one
    after = marked(outcome.after, message, named, [outcome.contradiction])
    return concluded(before, _noted(before, after, message, outcome.emitted), outcome, message)


def _noted(before: Payment | None, after: Payment, message: Message, emitted: Sequence[Event]) -> Payment:
    """With what is published about a charge, where that does not go without saying."""
    body = message.body
    if isinstance(body, RefundPayment | RefundOutcome) or (after == before and not emitted):
        return after
    asked = body.event if isinstance(body, ChargeOutcome) else body
    types = [event.type for event in emitted] or [""]
    if isinstance(asked, OrderConfirmed) and types[0] in {PaymentSucceeded.type, PaymentFailed.type}:
        return after
    if not emitted and not isinstance(asked, OrderConfirmed):
        return after
    told = (*after.told, *(Told(cause(message.source, message.id), type_) for type_ in types))
    return structs.replace(after, told=told[-TOLD_AT_MOST:])


DOMAIN: Final = Domain(home=home, reads=reads, decide=decide)


class _Triggered(NamedTuple):
    """What came, and by what its cell of the table is named."""

    trigger: Trigger
    kind: type


def _trigger(message: Message) -> _Triggered:
    match message.body:
        case (ChargeOutcome() | RefundOutcome()) as outcome:
            return _Triggered(outcome, type(outcome.result))
        case body:
            return _Triggered(cast("Trigger", body), type(body))


def _order_id(message: Message) -> str:
    body = message.body
    event = body.event if isinstance(body, ChargeOutcome | RefundOutcome) else body
    return event.order_id  # type: ignore[attr-defined,no-any-return]  # all that comes here is about an order


def _state(payment: Payment | None) -> StrEnum:
    return payment.stage if payment else NEW


def _blank(message: Message) -> Payment:
    """A payment that nothing happened to yet: the table's row gives it its first state."""
    at = message.at
    return Payment(id=_order_id(message), state=PaymentState.VOIDED, created_at=at, updated_at=at)
