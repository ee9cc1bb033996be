"""What goes out of the notification service over HTTP."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


class NotificationView(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, from_attributes=True, populate_by_name=True)

    id: str
    kind: str
    order_id: str
    recipient: str | None
    subject: str
    at: datetime


class NotificationList(BaseModel):
    items: list[NotificationView]
