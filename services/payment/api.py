"""The payment service's route: what became of an order's payment."""

from fastapi import APIRouter

from services.payment import queries
from services.payment.bodies import PaymentBody
from services.shared.contract.decisions import NotFound
from services.shared.engine.life import TheEngine
from services.shared.http.bodies import Id
from services.shared.http.dependencies import Caller
from services.shared.http.rights import Right
from services.shared.http.routing import Route

router = APIRouter(prefix="/api/payments", tags=["payments"], route_class=Route)


@router.get("/{order_id}", response_model_exclude_unset=True)
async def get_payment(order_id: Id, caller: Caller, engine: TheEngine) -> PaymentBody:
    """The customer's own, or, for the shop's staff, anybody's: another's is not found."""
    is_staff = caller.may(Right.READ_ORDERS)
    payment = await queries.of(engine.store, order_id, None if is_staff else caller.id)
    if payment is None:
        raise NotFound("there is no payment of this order")
    return PaymentBody.of(payment, for_staff=is_staff)
