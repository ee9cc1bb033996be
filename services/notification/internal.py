"""For the shop's staff, and not through the gateway: what was sent about an order."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from services.notification import queries
from services.notification.bodies import NotificationList, NotificationView
from services.shared.engine.life import TheEngine
from services.shared.http.auth import User
from services.shared.http.bodies import Id
from services.shared.http.dependencies import Holder
from services.shared.http.rights import Right
from services.shared.http.routing import Route

router = APIRouter(prefix="/internal/notifications", tags=["notifications"], route_class=Route)


@router.get("")
async def list_notifications(
    order_id: Annotated[Id, Query(alias="orderId")],
    _: Annotated[User, Depends(Holder(Right.READ_ORDERS))],
    engine: TheEngine,
) -> NotificationList:
    """All notifications about an order, the oldest first. There are few per order, so there are no pages."""
    notifications = await queries.of_order(engine.store, order_id)
    return NotificationList(items=[NotificationView.of(each) for each in notifications])
