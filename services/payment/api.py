"""The payment service's route: what became of an order's payment."""

from datetime import datetime
from typing import Self

from fastapi import APIRouter

from services.payment.payment import Payment, PaymentState
from services.shared.contract import money
from services.shared.contract.decisions import NotFound
from services.shared.database.store import from_document
from services.shared.engine.life import TheEngine
from services.shared.http.app import Caller
from services.shared.http.bodies import Id, View

router = APIRouter(prefix="/api/payments", tags=["payments"])


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
            attention=payment.attention,
            created_at=payment.created_at,
            updated_at=payment.updated_at,
        )


@router.get("/{order_id}")
async def get_payment(order_id: Id, caller: Caller, engine: TheEngine) -> PaymentBody:
    """An administrator's, or the customer's own: another's is not found."""
    query = {"_id": order_id} if caller.is_admin else {"_id": order_id, "customerId": caller.id}
    document = await engine.store.collection(Payment).find_one(query)
    if document is None:
        raise NotFound("there is no payment of this order")
    return PaymentBody.of(from_document(Payment, document))
