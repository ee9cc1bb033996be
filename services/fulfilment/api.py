"""For the shop's staff: what fulfilment knows of an order."""

from typing import Annotated

from fastapi import APIRouter, Depends

from services.fulfilment import queries
from services.fulfilment.bodies import FulfilmentView
from services.shared.contract.decisions import NotFound
from services.shared.engine.life import TheEngine
from services.shared.http.auth import User
from services.shared.http.bodies import Id
from services.shared.http.dependencies import Holder
from services.shared.http.rights import Right
from services.shared.http.routing import Route

router = APIRouter(prefix="/internal/fulfilment", tags=["fulfilment"], route_class=Route)


@router.get("/{order_id}")
async def get_fulfilment_entry(
    order_id: Id, _: Annotated[User, Depends(Holder(Right.READ_ORDERS))], engine: TheEngine
) -> FulfilmentView:
    """The entry of an order that was paid."""
    entry = await queries.of_order(engine.store, order_id)
    if entry is None:
        raise NotFound("there is no entry of this order")
    return FulfilmentView.of(entry)
