"""For administrators: what was sent about an order."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query

from services.notification.domain import Notification
from services.shared.database.store import from_document
from services.shared.engine.life import TheEngine
from services.shared.http.app import Admin
from services.shared.http.bodies import Id, View


class NotificationView(View):
    id: str
    kind: str
    order_id: str
    recipient: str | None
    subject: str
    at: datetime


class NotificationList(View):
    items: list[NotificationView]


router = APIRouter(prefix="/internal/notifications", tags=["notifications"])


@router.get("")
async def list_notifications(
    order_id: Annotated[Id, Query(alias="orderId")],
    _: Admin,
    engine: TheEngine,
) -> NotificationList:
    """All of an order, the oldest first: an order has a handful."""
    collection = engine.store.collection(Notification)
    found: list[dict[str, Any]] = await collection.find({"orderId": order_id}).sort("at").to_list()
    notifications = (from_document(Notification, document) for document in found)
    return NotificationList(items=[NotificationView.model_validate(each) for each in notifications])
