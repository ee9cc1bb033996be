"""What goes out of the payment service over HTTP."""

from datetime import datetime
from typing import Self

from services.payment.payment import Payment, PaymentState
from services.shared.contract import money
from services.shared.http.bodies import View


class PaymentBody(View):
    """What nobody asked for yet, or did not happen, is null."""

    order_id: str
    status: PaymentState
    amount: str | None
    currency: str | None
    transaction_id: str | None
    refund_id: str | None
    reason: str | None
    cancel_requested: bool
    attention: tuple[str, ...]
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, payment: Payment) -> Self:
        currency = payment.currency or None
        return cls(
            order_id=payment.id,
            status=payment.state,
            amount=str(money.to_decimal(payment.amount, currency)) if currency else None,
            currency=currency,
            transaction_id=payment.transaction_id or None,
            refund_id=payment.refund_id or None,
            reason=payment.reason or None,
            cancel_requested=payment.cancel_requested,
            attention=tuple(each.reason for each in payment.attention),
            created_at=payment.created_at,
            updated_at=payment.updated_at,
        )
