"""What goes out of the notification service over HTTP."""

from datetime import datetime

from services.shared.http.bodies import View


class NotificationView(View):
    id: str
    kind: str
    order_id: str
    recipient: str | None
    subject: str
    at: datetime


class NotificationList(View):
    items: list[NotificationView]
