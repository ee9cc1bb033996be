"""One payment an order, and what is done to it: the aggregate, and the messages that decide on it."""

from collections.abc import Iterator
from datetime import datetime
from enum import StrEnum
from typing import ClassVar, Final

from msgspec import Struct

from services.payment.gateway import Captured, Declined, Refunded
from services.shared.contract import money
from services.shared.contract.decisions import Standing
from services.shared.contract.events import OrderConfirmed, RefundPayment
from services.shared.contract.table import Watched


class PaymentState(StrEnum):
    # Written before the gateway is asked: whoever finds it asks again, with the same key.
    CAPTURING = "CAPTURING"
    CAPTURED = "CAPTURED"
    DECLINED = "DECLINED"
    # The order was cancelled before it was to be charged: it never will be.
    VOIDED = "VOIDED"
    REFUNDING = "REFUNDING"
    REFUNDED = "REFUNDED"


# Nothing happens by itself any more.
ENDS: Final = (
    PaymentState.CAPTURED,
    PaymentState.DECLINED,
    PaymentState.VOIDED,
    PaymentState.REFUNDED,
)


class Payment(Watched, frozen=True, kw_only=True):
    """`_id` is the order's. The amount is in minor units; there is none while nobody asked for any."""

    collection: ClassVar[str] = "payments"
    state: PaymentState
    amount: int = 0
    currency: str = ""
    customer_id: str | None = None
    transaction_id: str = ""
    refund_id: str = ""
    # Why it was declined.
    reason: str = ""
    # The order was cancelled while the gateway was being asked.
    cancel_requested: bool = False
    # Since when the gateway is being asked for what it is being asked for.
    intended_at: datetime | None = None
    created_at: datetime
    updated_at: datetime

    @property
    def standing(self) -> Standing:
        return Standing(self.id, self.state, (*self._notes(), *self.contradictions))

    def _notes(self) -> Iterator[str]:
        if self.currency:
            yield f"{money.to_decimal(self.amount, self.currency)} {self.currency}"
        if self.reason:
            yield self.reason
        if self.cancel_requested:
            yield "the order is cancelled meanwhile"

    @property
    def capture_key(self) -> str:
        return f"{self.id}:capture"

    @property
    def refund_key(self) -> str:
        return f"{self.id}:refund"


class ChargeOutcome(Struct, frozen=True):
    """What became of the charge that an event asked for."""

    type: ClassVar[str] = OrderConfirmed.type
    event: OrderConfirmed
    result: Captured | Declined


class RefundOutcome(Struct, frozen=True):
    """What became of the refund that an event asked for."""

    type: ClassVar[str] = RefundPayment.type
    event: RefundPayment
    result: Refunded
