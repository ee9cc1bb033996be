"""The notification service's settings."""

from typing import Annotated, ClassVar

from pydantic import Field

from services.shared.mail.settings import MailSettings
from services.shared.settings import EngineSettings, Port


class NotificationSettings(MailSettings, EngineSettings):
    service: ClassVar[str] = "notification"
    port: Port = 3007
    # Nobody waits for a notification within milliseconds: few large transactions.
    commit_linger_ms: Annotated[float, Field(ge=0, le=1000)] = 200
