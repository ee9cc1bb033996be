"""The payment service's route: what became of an order's payment."""

from fastapi import APIRouter

from services.payment import queries
from services.payment.bodies import PaymentBody
from services.shared.contract.decisions import NotFound
from services.shared.engine.life import TheEngine
from services.shared.http.app import Caller
from services.shared.http.bodies import Id

router = APIRouter(prefix="/api/payments", tags=["payments"])


@router.get("/{order_id}")
async def get_payment(order_id: Id, caller: Caller, engine: TheEngine) -> PaymentBody:
    """An administrator's, or the customer's own: another's is not found."""
    payment = await queries.of(engine.store, order_id, None if caller.is_admin else caller.id)
    if payment is None:
        raise NotFound("there is no payment of this order")
    return PaymentBody.of(payment)
