"""One payment an order, and what is done to it: the aggregate, and the messages that decide on it."""

from collections.abc import Iterator
from datetime import datetime
from enum import StrEnum
from typing import ClassVar, Final

from msgspec import Struct

from services.payment.gateway import Charge, ChargeAnswer, Refund, RefundAnswer
from services.shared.contract import money
from services.shared.contract.decisions import Standing
from services.shared.contract.events import NextAction, OrderCancelled, OrderConfirmed, RefundPayment
from services.shared.contract.table import Watched


class PaymentState(StrEnum):
    # Written before the gateway is asked: whoever finds it asks again, with the same key.
    CAPTURING = "CAPTURING"
    # The gateway decides later: it is asked what became of it.
    PENDING = "PENDING"
    # The gateway holds the money for us: it is asked to take it.
    AUTHORIZED = "AUTHORIZED"
    CAPTURED = "CAPTURED"
    DECLINED = "DECLINED"
    # The order was cancelled meanwhile: the gateway is asked to call it off.
    VOIDING = "VOIDING"
    # It never will be charged: the gateway has called it off, or had not been asked for anything.
    VOIDED = "VOIDED"
    REFUNDING = "REFUNDING"
    REFUNDED = "REFUNDED"


# Of the money. The order has states of its own for the refund as its customer sees it, goods included: each
# service moves its own, and hears of the other's by events alone.
class RefundState(StrEnum):
    # Written before the gateway is asked, as a charge is.
    ASKED = "ASKED"
    # It is asked again, under another key, when its time has come.
    REFUSED = "REFUSED"
    REFUNDED = "REFUNDED"
    # It went back by another way than the gateway, which is not asked any more.
    OUTSIDE = "OUTSIDE"


# What the gateway would have called it, where nothing was to be taken or given back.
FREE: Final = "free"
IS_BACK: Final = (RefundState.REFUNDED, RefundState.OUTSIDE)
# The source of what the clock brings up, where messages have a queue.
ASKED_AGAIN: Final = "asked-again"

# Nothing happens by itself any more.
ENDS: Final = (
    PaymentState.CAPTURED,
    PaymentState.DECLINED,
    PaymentState.VOIDED,
    PaymentState.REFUNDED,
)
# It is not decided yet whether money is taken.
UNDECIDED: Final = (
    PaymentState.CAPTURING,
    PaymentState.PENDING,
    PaymentState.AUTHORIZED,
    PaymentState.VOIDING,
)
# Money was taken, whatever was given back of it.
PAID: Final = (PaymentState.CAPTURED, PaymentState.REFUNDING, PaymentState.REFUNDED)


class PaymentRefund(Struct, frozen=True, rename="camel", kw_only=True, omit_defaults=True):
    """Some of what was captured, given back or to be given back. The amount is in minor units."""

    # Who asks for all that was captured may give it no id.
    request_id: str = ""
    amount: int
    state: RefundState = RefundState.ASKED
    # The gateway's.
    refund_id: str = ""
    # How often the gateway has refused it: each time it is asked under a key of its own.
    attempt: int = 0
    # How often the gateway has answered, under this key, that it decides later.
    asked: int = 0
    # Why it was refused, the last time.
    reason: str = ""
    # When it is to be asked for again; None where a message in the queue brings it up again.
    ask_at: datetime | None = None

    @property
    def next_time(self) -> tuple[int, int]:
        """Its attempt, another where that one was refused, and how often this one was not decided on."""
        return (self.attempt + 1, 0) if self.state is RefundState.REFUSED else (self.attempt, self.asked)


class Told(Struct, frozen=True, rename="camel"):
    """What was published about a charge, and because of what: `source/id` of a message."""

    cause: str
    # The event's type; empty for nothing.
    type: str


class Payment(Watched, frozen=True, kw_only=True):
    """`_id` is the order's. The amount is in minor units; there is none while nobody asked for any."""

    collection: ClassVar[str] = "payments"
    state: PaymentState
    amount: int = 0
    currency: str = ""
    customer_id: str | None = None
    transaction_id: str = ""
    # The gateway's, of the latest refund.
    refund_id: str = ""
    refunds: tuple[PaymentRefund, ...] = ()
    # Why it was declined.
    reason: str = ""
    # What the customer has to do before the gateway decides.
    next_action: NextAction | None = None
    # Of older documents: the order was cancelled while the gateway was being asked.
    cancel_requested: bool = False
    # Since when the gateway is being asked for what it is being asked for.
    intended_at: datetime | None = None
    # When the gateway is to be asked again about the charge, or the first of the refunds; None where nothing
    # is open, or a message in the queue brings it up again.
    ask_at: datetime | None = None
    # How often it was asked again about the charge, and how often in this state: pauses grow.
    asked: int = 0
    pauses: int = 0
    # What was published about the charge, but for what goes without saying: the order was confirmed, and is
    # told that it was paid, or was not.
    told: tuple[Told, ...] = ()
    created_at: datetime
    updated_at: datetime

    @property
    def stage(self) -> PaymentState:
        """Its state. An older document does not say VOIDING."""
        void = self.cancel_requested and self.state is PaymentState.CAPTURING
        return PaymentState.VOIDING if void else self.state

    @property
    def standing(self) -> Standing:
        return Standing(self.id, self.stage, (*self._notes(), *self.contradictions))

    def _notes(self) -> Iterator[str]:
        if self.currency:
            yield f"{money.to_decimal(self.amount, self.currency)} {self.currency}"
        if self.reason:
            yield self.reason
        if self.next_action:
            yield "the customer has to act first"

    @property
    def capture_key(self) -> str:
        return f"{self.id}:capture"

    def charge(self, token: str | None = None) -> Charge:
        """What the gateway is asked for. Only who asks first needs the token."""
        return Charge(
            key=self.capture_key,
            order_id=self.id,
            amount=self.amount,
            currency=self.currency,
            token=token,
            reference=self.transaction_id,
        )

    def refund_key(self, refund: PaymentRefund) -> str:
        """All that was captured goes back under one key, whoever asks for it."""
        whole = not refund.request_id or 0 < refund.amount == self.amount
        key = f"{self.id}:refund" if whole else f"{self.id}:refund:{refund.request_id}"
        return f"{key}:{refund.attempt}" if refund.attempt else key

    def asks(self, refund: PaymentRefund) -> Refund:
        """What the gateway is asked to give back."""
        return Refund(
            key=self.refund_key(refund),
            charge_key=self.capture_key,
            charge_reference=self.transaction_id,
            order_id=self.id,
            amount=refund.amount,
            currency=self.currency,
        )

    @property
    def given_back(self) -> tuple[PaymentRefund, ...]:
        """Its refunds. An older document says by its state alone that all goes back, or is back."""
        if self.refunds or self.state not in {PaymentState.REFUNDING, PaymentState.REFUNDED}:
            return self.refunds
        done = self.state is PaymentState.REFUNDED
        state = RefundState.REFUNDED if done else RefundState.ASKED
        return (PaymentRefund(amount=self.amount, state=state, refund_id=self.refund_id),)

    @property
    def left(self) -> int:
        """What may be asked back yet."""
        return self.amount - sum(refund.amount for refund in self.given_back)

    def refund_of(self, request_id: str, amount: int) -> PaymentRefund | None:
        """The refund that was asked for with this id. All that was captured may be asked for without one,
        and is the same refund.
        """
        for refund in self.given_back:
            nameless = not (refund.request_id and request_id)
            if refund.request_id == request_id or (nameless and refund.amount == amount == self.amount):
                return refund
        return None


class LookAgain(Struct, frozen=True):
    """The time has come to ask the gateway again about a charge."""

    type: ClassVar[str] = "CHARGE_ASKED_AGAIN"
    order_id: str
    # Of this time, which tells it from the others.
    number: int

    @property
    def id(self) -> str:
        """Of the message: whoever brings it up, it is the same."""
        return f"{self.order_id}:charge:{self.number}"


class ChargeOutcome(Struct, frozen=True):
    """What the gateway says of a charge; None: it knows of none."""

    event: OrderConfirmed | OrderCancelled | LookAgain
    result: ChargeAnswer
    at: datetime

    @property
    def type(self) -> str:
        return self.event.type


class AskAgain(Struct, frozen=True):
    """The time has come to ask for a refund again that the gateway refused, or did not decide on."""

    type: ClassVar[str] = "REFUND_ASKED_AGAIN"
    order_id: str
    request_id: str
    amount: int
    # The number of this time, which tells it from the others; and how often it was not decided on before.
    attempt: int
    asked: int = 0

    @property
    def id(self) -> str:
        """Of the message: whoever brings it up again, it is the same."""
        id_ = f"{self.order_id}:{self.request_id}:{self.attempt}"
        return f"{id_}.{self.asked}" if self.asked else id_


class RefundOutcome(Struct, frozen=True):
    """What became of the refund that was asked for, at the `attempt` of then."""

    type: ClassVar[str] = RefundPayment.type
    event: RefundPayment | AskAgain
    result: RefundAnswer
    attempt: int = 0
    at: datetime | None = None
