"""What goes out of the payment service over HTTP."""

from datetime import datetime
from typing import Annotated, Self

from pydantic import Field

from services.payment import examples
from services.payment.payment import Payment, PaymentState
from services.shared.contract import money
from services.shared.http.bodies import View


class HeardBody(View, json_schema_extra={"examples": [examples.HEARD]}):
    outcome: Annotated[
        str, Field(description="`heard`; `known` if it came before; `unknown payment`; `not for us`")
    ]


class PaymentBody(View, json_schema_extra={"examples": [examples.PAYMENT]}):
    """A payment. What has not been requested or has not happened is null."""

    order_id: str
    status: PaymentState
    amount: str | None
    currency: str | None
    transaction_id: str | None
    refund_id: str | None
    reason: str | None
    created_at: datetime
    updated_at: datetime
    cancel_requested: Annotated[bool, Field(description="Shown to administrators")] = False
    attention: Annotated[tuple[str, ...], Field(description="Shown to administrators")] = ()

    @classmethod
    def of(cls, payment: Payment, *, for_staff: bool) -> Self:
        currency = payment.currency or None
        internal = {
            "cancel_requested": payment.stage is PaymentState.VOIDING,
            "attention": tuple(each.reason for each in payment.attention),
        }
        return cls(
            order_id=payment.id,
            status=payment.stage,
            amount=str(money.to_decimal(payment.amount, currency)) if currency else None,
            currency=currency,
            transaction_id=payment.transaction_id or None,
            refund_id=payment.refund_id or None,
            reason=payment.reason or None,
            created_at=payment.created_at,
            updated_at=payment.updated_at,
            **(internal if for_staff else {}),
        )
