"""What the payment service publishes."""

from decimal import Decimal
from typing import Final

from services.shared.contract import money
from services.shared.contract.events.event import Event, OrderEvent, Text


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
    # Asks inventory for auto compensation, whatever its setting.
    compensation: bool = False


class PaymentRefunded(_Payment, frozen=True, kw_only=True):
    """Money was given back."""

    type = "PAYMENT_REFUNDED"
    refund_id: Text


PUBLISHES: Final[tuple[type[Event], ...]] = (PaymentSucceeded, PaymentFailed, PaymentRefunded)
