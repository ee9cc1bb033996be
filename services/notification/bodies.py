"""What goes out of the notification service over HTTP."""

from datetime import datetime
from typing import Annotated

from pydantic import Field

from services.notification.domain import NotificationState
from services.shared.http.bodies import View


class NotificationView(View):
    id: str
    kind: str
    order_id: str
    recipient: str | None
    subject: str
    at: datetime
    state: NotificationState
    reason: Annotated[str, Field(description="Why the mail is FAILED")]


class NotificationList(View):
    items: list[NotificationView]
