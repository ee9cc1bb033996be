"""The fulfilment service's routes: what becomes of an order's goods, said by whoever sends them."""

import uuid
from http import HTTPStatus
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Request, Response

from services.fulfilment.bodies import ShipmentBody, Shipping
from services.fulfilment.shipment import Command, Deliver, Ship, Shipment
from services.shared.contract.codes import Code
from services.shared.contract.decisions import NotFound
from services.shared.contract.idempotency import Key, key_of
from services.shared.engine.life import Engine, TheEngine
from services.shared.http.auth import User
from services.shared.http.bodies import Id
from services.shared.http.dependencies import IDEMPOTENT, Holder, IdempotencyKeyHeader, replay
from services.shared.http.described import described
from services.shared.http.origin import by
from services.shared.http.rights import Right
from services.shared.http.routing import Route

Shipper = Annotated[User, Depends(Holder(Right.SHIP))]
NOTHING_SAID: Final = Shipping()
router = APIRouter(prefix="/api/fulfilments", tags=["fulfilments"], route_class=Route)


@router.get("/{order_id}", responses=described([Code.NOT_FOUND]))
async def get_shipment(
    order_id: Id, _: Annotated[User, Depends(Holder(Right.READ_ORDERS))], engine: TheEngine
) -> ShipmentBody:
    """The shipment of a paid order."""
    shipment = await engine.store.get(Shipment, order_id)
    if shipment is None:
        raise NotFound("there is no shipment of this order")
    return ShipmentBody.of(shipment)


@router.post(
    "/{order_id}/ship",
    status_code=HTTPStatus.ACCEPTED,
    openapi_extra=IDEMPOTENT,
    responses=described([Code.STATE_FORBIDS, Code.IDEMPOTENCY_KEY_REUSED]),
)
async def ship_order(  # noqa: PLR0917  # FastAPI passes them by name
    order_id: Id,
    admin: Shipper,
    engine: TheEngine,
    request: Request,
    response: Response,
    idempotency_key: IdempotencyKeyHeader,
    shipping: Shipping = NOTHING_SAID,
) -> ShipmentBody:
    """Ask to send the goods. The order decides which of them may be sent, if any."""
    command = Ship(
        order_id=order_id,
        carrier=shipping.carrier,
        tracking=shipping.tracking,
        key=_key("ship", admin, idempotency_key, [order_id, shipping.model_dump()]),
    )
    return await _changed(engine, command, request, response, admin)


@router.post(
    "/{order_id}/deliver",
    status_code=HTTPStatus.ACCEPTED,
    openapi_extra=IDEMPOTENT,
    responses=described([Code.STATE_FORBIDS, Code.IDEMPOTENCY_KEY_REUSED]),
)
async def deliver_order(  # FastAPI passes them by name
    order_id: Id,
    admin: Shipper,
    engine: TheEngine,
    request: Request,
    response: Response,
    idempotency_key: IdempotencyKeyHeader,
) -> ShipmentBody:
    """Record that the goods have arrived."""
    key = _key("deliver", admin, idempotency_key, [order_id])
    return await _changed(engine, Deliver(order_id=order_id, key=key), request, response, admin)


async def _changed(
    engine: Engine, command: Command, request: Request, response: Response, admin: User
) -> ShipmentBody:
    """The shipment as the command leaves it."""
    decision = await engine.execute(command, id_=str(uuid.uuid4()), by=by(request, admin))
    shipment: Shipment = decision.reply  # type: ignore[assignment]  # what all of them answer with
    response.headers.update(replay(decision))
    return ShipmentBody.of(shipment)


def _key(command: str, admin: User, given: str | None, request: object) -> Key | None:
    return key_of(f"{command}/{admin.id}", given, request)
