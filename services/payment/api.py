"""The payment service's routes: what became of an order's payment, and what the gateway says by itself."""

from typing import Annotated, Final

from fastapi import APIRouter, Path, Request

from services.payment import examples, queries
from services.payment.bodies import HeardBody, PaymentBody
from services.payment.gateway import BadSignature, Gateway, GatewayUnavailable
from services.payment.metrics import WEBHOOKS
from services.shared.contract.codes import Code
from services.shared.contract.decisions import NotFound, Refused, Unavailable, Verdict
from services.shared.engine.life import Engine, TheEngine
from services.shared.http.bodies import Id
from services.shared.http.dependencies import Caller
from services.shared.http.described import described
from services.shared.http.problems import Problem
from services.shared.http.rights import Right
from services.shared.http.routing import Route

# A body in the gateway's own form, which only it describes.
SIGNED: Final = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"type": "object"}, "example": examples.EVENT}},
    }
}
router = APIRouter(prefix="/api/payments", tags=["payments"], route_class=Route)


@router.get("/{order_id}", response_model_exclude_unset=True)
async def get_payment(order_id: Id, caller: Caller, engine: TheEngine) -> PaymentBody:
    """The payment of an order of the caller; the shop's staff may read every payment."""
    is_staff = caller.may(Right.READ_ORDERS)
    payment = await queries.of(engine.store, order_id, None if is_staff else caller.id)
    if payment is None:
        raise NotFound("there is no payment of this order")
    return PaymentBody.of(payment, for_staff=is_staff)


@router.post(
    "/webhooks/{provider}",
    responses=described([Code.SIGNATURE_REFUSED, Code.BODY_TOO_LARGE, Code.UNSUPPORTED_MEDIA_TYPE]),
    openapi_extra=SIGNED,
)
async def hear_gateway(
    provider: Annotated[str, Path(pattern="^[a-z]{1,32}$")], request: Request, engine: TheEngine
) -> HeardBody:
    """Receive a payment gateway's signed webhook. It only causes a question to the gateway.

    200 once the webhook is stored; after any other answer, the gateway sends it again.
    """
    if provider != request.app.state.provider:
        raise NotFound("this shop is paid through another gateway")
    outcome = await _heard(request.app.state.gateway, request, engine)
    WEBHOOKS.labels(outcome).inc()
    return HeardBody(outcome=outcome)


async def _heard(gateway: Gateway, request: Request, engine: Engine) -> str:
    try:
        heard = await gateway.hear(request.headers, await request.body())
    except BadSignature as error:
        WEBHOOKS.labels("refused").inc()
        raise Problem(Code.SIGNATURE_REFUSED, str(error)) from error
    except GatewayUnavailable as error:
        raise Unavailable("the payment gateway does not answer; nothing was done") from error
    if heard is None:
        return "not for us"
    try:
        decision = await engine.execute(heard, id_=heard.id)
    except Refused:
        return "unknown payment"
    return "known" if decision.verdict is Verdict.DUPLICATE else "heard"
