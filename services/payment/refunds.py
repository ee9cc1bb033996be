"""Refunds of a payment, any number of them up to what was captured: words for the table of payments."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final, TypeAlias

from msgspec import structs

from services.payment.gateway import Heard, Refunded, RefundRefused
from services.payment.payment import (
    FREE,
    IS_BACK,
    AskAgain,
    Payment,
    PaymentRefund,
    RefundOutcome,
    RefundState,
)
from services.shared.contract import money
from services.shared.contract.decisions import RIGHT_AWAY
from services.shared.contract.events import (
    LONGEST_TEXT,
    Event,
    PaymentRefunded,
    PaymentRefundFailed,
    RefundPayment,
)

# A refusal stands for a while: a card that is blocked, an account without cover.
FIRST_PAUSE: Final = timedelta(minutes=1)
PAUSES_GROW: Final = 4
LONGEST_PAUSE: Final = timedelta(hours=6)

AboutARefund: TypeAlias = RefundPayment | AskAgain | RefundOutcome


def pause(attempt: int) -> timedelta:
    """After the refusal of this attempt, the first being 0: a minute, four, sixteen, ... six hours. After so
    many answers that it is decided on later, the same.
    """
    growth: int = PAUSES_GROW ** min(attempt, 9)
    return min(FIRST_PAUSE * growth, LONGEST_PAUSE)


def refund_of(payment: Payment, trigger: AboutARefund) -> PaymentRefund | None:
    """The refund that it is about, if there is one."""
    request_id, amount = _asked(trigger)
    return payment.refund_of(request_id, amount)


def _asked(trigger: AboutARefund) -> tuple[str, int]:
    asked = trigger.event if isinstance(trigger, RefundOutcome) else trigger
    if isinstance(asked, AskAgain):
        return asked.request_id, asked.amount
    return asked.refund_request_id or "", money.to_minor(asked.amount, asked.currency)


# --- guards -----------------------------------------------------------------------------------------------


def _in_state(*states: RefundState) -> Callable[[Payment, RefundPayment], bool]:
    def holds(payment: Payment, event: RefundPayment) -> bool:
        refund = refund_of(payment, event)
        return refund is not None and refund.state in states and refund.amount == _asked(event)[1]

    return holds


is_asked = _in_state(RefundState.ASKED)
is_refunded = _in_state(RefundState.REFUNDED)
is_refused = _in_state(RefundState.REFUSED)
is_settled = _in_state(RefundState.OUTSIDE)


def settles_outside(payment: Payment, event: RefundPayment) -> bool:
    """What the gateway has not given back."""
    return event.settled_outside is not None and (is_asked(payment, event) or is_refused(payment, event))


def of_another_capture(payment: Payment, event: RefundPayment) -> bool:
    """In another currency, or of a transaction that is not the payment's."""
    return payment.currency != event.currency or event.transaction_id not in {None, payment.transaction_id}


def can_be_given_back(payment: Payment, event: RefundPayment) -> bool:
    """It is new, and so much is left. Without an id it is all that was captured."""
    request_id, amount = _asked(event)
    if event.settled_outside or payment.refund_of(request_id, amount) is not None:
        return False
    return amount <= payment.left if request_id else amount == payment.amount == payment.left


def costs_nothing(payment: Payment, event: RefundPayment) -> bool:
    return can_be_given_back(payment, event) and event.amount == 0


def all_of_it_cost_nothing(payment: Payment, event: RefundPayment) -> bool:
    return costs_nothing(payment, event) and leaves_nothing(payment, event)


def is_due(payment: Payment, trigger: AskAgain) -> bool:
    """It was refused the last time, or not decided on, or somebody has died who asked for it this time."""
    refund = refund_of(payment, trigger)
    if refund is None or refund.state in IS_BACK:
        return False
    return (trigger.attempt, trigger.asked) == refund.next_time


def of_no_refund(payment: Payment, outcome: RefundOutcome) -> bool:
    return refund_of(payment, outcome) is None


def same_refund(payment: Payment, outcome: RefundOutcome) -> bool:
    refund, result = refund_of(payment, outcome), outcome.result
    return refund is not None and isinstance(result, Refunded) and refund.refund_id == result.refund_id


def done_before(payment: Payment, outcome: RefundOutcome) -> bool:
    refund = refund_of(payment, outcome)
    return refund is not None and refund.state is RefundState.REFUNDED


def of_an_earlier_attempt(payment: Payment, outcome: RefundOutcome) -> bool:
    """Another answer to it has been heard, and acted upon."""
    refund = refund_of(payment, outcome)
    if refund is None:
        return False
    heard = refund.state is RefundState.REFUSED and outcome.attempt == refund.attempt
    closed = refund.state is RefundState.OUTSIDE
    return heard or closed or outcome.attempt < refund.attempt


def the_first_time(_: Payment, outcome: RefundOutcome) -> bool:
    return outcome.attempt == 0


def settled_before(payment: Payment, outcome: RefundOutcome) -> bool:
    refund = refund_of(payment, outcome)
    return refund is not None and refund.state is RefundState.OUTSIDE


def leaves_others_open(payment: Payment, trigger: AboutARefund) -> bool:
    this = refund_of(payment, trigger)
    return any(refund != this and refund.state not in IS_BACK for refund in payment.given_back)


def leaves_nothing(payment: Payment, trigger: AboutARefund) -> bool:
    return payment.left == 0 and not leaves_others_open(payment, trigger)


def settles_the_last(payment: Payment, event: RefundPayment) -> bool:
    return settles_outside(payment, event) and leaves_nothing(payment, event)


def settles_one_of_several(payment: Payment, event: RefundPayment) -> bool:
    return settles_outside(payment, event) and leaves_others_open(payment, event)


# --- what is recorded -------------------------------------------------------------------------------------


def refund_asked(payment: Payment, event: RefundPayment) -> Payment:
    request_id, amount = _asked(event)
    return _with(payment, (*payment.given_back, PaymentRefund(request_id=request_id, amount=amount)))


def refunded_for_nothing(payment: Payment, event: RefundPayment) -> Payment:
    """Gateways refuse to be asked for it."""
    request_id, amount = _asked(event)
    done = PaymentRefund(request_id=request_id, amount=amount, state=RefundState.REFUNDED, refund_id=FREE)
    return _with(payment, (*payment.given_back, done))


def refund_asked_again(payment: Payment, trigger: AskAgain) -> Payment:
    """Under the next key, where the last one was refused. `ask_at` stays: until then it is being asked."""

    def again(refund: PaymentRefund) -> PaymentRefund:
        return structs.replace(refund, state=RefundState.ASKED, attempt=trigger.attempt, asked=trigger.asked)

    return _changed(payment, trigger, again)


def refunded(payment: Payment, outcome: RefundOutcome) -> Payment:
    result = outcome.result
    assert isinstance(result, Refunded)  # noqa: S101  # of the table: by the kind of its cell

    def done(refund: PaymentRefund) -> PaymentRefund:
        return structs.replace(refund, state=RefundState.REFUNDED, refund_id=result.refund_id, ask_at=None)

    return structs.replace(_changed(payment, outcome, done), refund_id=result.refund_id)


def refused(payment: Payment, outcome: RefundOutcome) -> Payment:
    """The gateway may say more than an event can."""
    result, at = outcome.result, outcome.at
    assert isinstance(result, RefundRefused)  # noqa: S101  # of the table: by the kind of its cell

    def not_yet(refund: PaymentRefund) -> PaymentRefund:
        return structs.replace(
            refund,
            state=RefundState.REFUSED,
            reason=result.reason[:LONGEST_TEXT],
            ask_at=at and at + pause(refund.attempt),
        )

    return _changed(payment, outcome, not_yet)


def undecided(payment: Payment, outcome: RefundOutcome) -> Payment:
    """It is asked for again under the same key: the gateway then says what became of it."""
    at = outcome.at

    def later(refund: PaymentRefund) -> PaymentRefund:
        return structs.replace(refund, ask_at=at and at + pause(refund.asked), asked=refund.asked + 1)

    return _changed(payment, outcome, later)


def refunds_asked_right_away(payment: Payment, _: Heard) -> Payment:
    """Those that the gateway did not decide on: of the others there is nothing to hear."""
    if not any(map(_waits, payment.refunds)):
        return payment
    return _with(
        payment,
        tuple(
            structs.replace(refund, ask_at=RIGHT_AWAY, asked=refund.asked + 1) if _waits(refund) else refund
            for refund in payment.refunds
        ),
    )


def _waits(refund: PaymentRefund) -> bool:
    return refund.state is RefundState.ASKED and refund.ask_at is not None


def settled(payment: Payment, event: RefundPayment) -> Payment:
    def outside(refund: PaymentRefund) -> PaymentRefund:
        return structs.replace(refund, state=RefundState.OUTSIDE, ask_at=None)

    return _changed(payment, event, outside)


def made_all_the_same(payment: Payment, outcome: RefundOutcome) -> Payment:
    """By the gateway, whatever was done beside it."""
    result = outcome.result
    assert isinstance(result, Refunded)  # noqa: S101  # of the table: by the kind of its cell
    return _changed(payment, outcome, lambda refund: structs.replace(refund, refund_id=result.refund_id))


def leased(payment: Payment, now: datetime, until: datetime) -> tuple[Payment, tuple[AskAgain, ...]]:
    """What is due to be asked for again, and the payment, of which nobody else asks for it `until` then."""
    due = [refund for refund in payment.given_back if refund.ask_at is not None and refund.ask_at <= now]
    after = _with(
        payment,
        tuple(
            structs.replace(refund, ask_at=until) if refund in due else refund
            for refund in payment.given_back
        ),
    )
    return after, tuple(
        AskAgain(payment.id, refund.request_id, refund.amount, *refund.next_time) for refund in due
    )


def _changed(
    payment: Payment, trigger: AboutARefund, change: Callable[[PaymentRefund], PaymentRefund]
) -> Payment:
    this = refund_of(payment, trigger)
    refunds = (change(refund) if refund == this else refund for refund in payment.given_back)
    return _with(payment, tuple(refunds))


def _with(payment: Payment, refunds: tuple[PaymentRefund, ...]) -> Payment:
    ask_at = min((refund.ask_at for refund in refunds if refund.ask_at), default=None)
    return structs.replace(payment, refunds=refunds, ask_at=ask_at)


# --- what is published ------------------------------------------------------------------------------------


def payment_refunded(payment: Payment, trigger: RefundPayment | RefundOutcome) -> Event:
    refund = _known(payment, trigger)
    return PaymentRefunded(
        order_id=payment.id,
        transaction_id=payment.transaction_id,
        refund_id=refund.refund_id,
        amount=money.to_decimal(refund.amount, payment.currency),
        currency=payment.currency,
        refund_request_id=_named(refund, trigger),
        attempt=refund.attempt,
    )


def payment_refund_failed(payment: Payment, trigger: RefundPayment | RefundOutcome) -> Event:
    refund = _known(payment, trigger)
    return PaymentRefundFailed(
        order_id=payment.id,
        amount=money.to_decimal(refund.amount, payment.currency),
        currency=payment.currency,
        reason=refund.reason,
        refund_request_id=_named(refund, trigger),
        attempt=refund.attempt,
    )


def _known(payment: Payment, trigger: AboutARefund) -> PaymentRefund:
    refund = refund_of(payment, trigger)
    assert refund is not None  # noqa: S101  # of the table: what is answered was asked for
    return refund


def _named(refund: PaymentRefund, trigger: AboutARefund) -> str | None:
    """As whoever asked for it calls it."""
    return _asked(trigger)[0] or refund.request_id or None
