"""What the payment service publishes and consumes."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from services.shared.contract import money
from services.shared.contract.events.event import Count, OrderEvent, Part, RefundRequestId, Text
from services.shared.contract.events.queues import PAYMENT_EVENTS, STOCK_RESERVED


class _Payment(OrderEvent, frozen=True, kw_only=True):
    transaction_id: Text
    amount: Decimal
    currency: str

    def __post_init__(self) -> None:
        money.to_minor(self.amount, self.currency)


class PaymentSucceeded(_Payment, frozen=True, kw_only=True):
    """An order was charged."""

    type = "PAYMENT_SUCCEEDED"


class PaymentFailed(_Payment, frozen=True, kw_only=True):
    """An order could not be charged."""

    type = "PAYMENT_FAILED"
    reason: Text
    # Asks inventory for auto compensation, regardless of its setting.
    compensation: bool = False


class NextAction(Struct, frozen=True, rename="camel", omit_defaults=True):
    """What the customer has to do before the payment gateway decides."""

    type: Literal["redirect"]
    # Secret: anybody who has it may act for the customer.
    url: Annotated[str, Meta(min_length=1, max_length=2048)]
    # Until when the customer can do it.
    expires_at: Annotated[datetime, Meta(tz=True)] | None = None


class PaymentPending(_Payment, frozen=True, kw_only=True):
    """The payment gateway decides later."""

    type = "PAYMENT_PENDING"
    next_action: NextAction | None = None


class PaymentRefunded(_Payment, frozen=True, kw_only=True):
    """Money was refunded."""

    type = "PAYMENT_REFUNDED"
    # Assigned by the payment gateway.
    refund_id: Text
    refund_request_id: RefundRequestId | None = None
    # How often the payment gateway had refused it before.
    attempt: Count = 0


class PaymentRefundFailed(OrderEvent, frozen=True, kw_only=True):
    """The payment gateway refuses a refund. It is retried forever, and this event is published once."""

    type = "PAYMENT_REFUND_FAILED"
    amount: Decimal
    currency: str
    reason: Text
    refund_request_id: RefundRequestId | None = None
    # How often it had been refused before. The event may arrive after a later attempt has succeeded.
    attempt: Count = 0

    def __post_init__(self) -> None:
        money.to_minor(self.amount, self.currency)


PART: Final = Part(
    publishes=(PaymentSucceeded, PaymentFailed, PaymentPending, PaymentRefunded, PaymentRefundFailed),
    consumes={
        STOCK_RESERVED: ("ORDER_CONFIRMED",),
        PAYMENT_EVENTS: ("ORDER_CANCELLED", "PAYMENT_REFUND"),
    },
)
