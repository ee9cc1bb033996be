"""The notification service's settings."""

from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import NoDecode

from services.notification.destinations import Networks
from services.shared.mail.settings import MailSettings
from services.shared.sealing import Seals
from services.shared.settings import EngineSettings, Port
from services.shared.tls import check_authorities


class NotificationSettings(MailSettings, EngineSettings):
    service: ClassVar[str] = "notification"
    port: Port = 3007
    # Nobody waits for a notification within milliseconds: few large transactions.
    commit_linger_ms: Annotated[float, Field(ge=0, le=1000)] = 200
    # What seals the secrets of webhooks in the database: keys in Base64, the newest first, separated by
    # commas. Empty: there are no webhooks.
    webhooks_key: SecretStr = SecretStr("")
    # Addresses or networks, separated by commas, that webhooks may go to though they are not public.
    webhook_allow_networks: Annotated[Networks, NoDecode] = ()
    # Authorities (PEM) that endpoints are believed by, beside those that every client believes.
    webhook_ca_file: Path | None = None
    # Where the shop's API is, for the `source` of events: https://shop.example/api.
    webhook_source: Annotated[str, Field(pattern=r"^(https?://[^/?#\s]+)?(/[^?#\s]*)?$", min_length=1)] = (
        "/api"
    )

    @property
    def seals(self) -> Seals | None:
        """None where there are no webhooks."""
        key = self.webhooks_key.get_secret_value()
        return Seals.parse(key, "WEBHOOKS_KEY") if key else None

    @field_validator("webhooks_key")
    @classmethod
    def _check_key(cls, text: SecretStr) -> SecretStr:
        if key := text.get_secret_value():
            Seals.parse(key)
        return text

    @field_validator("webhook_allow_networks", mode="before")
    @classmethod
    def _parse_networks(cls, text: object) -> object:
        if not isinstance(text, str):
            return text
        return tuple(ip_network(part.strip(), strict=False) for part in text.split(",") if part.strip())

    @field_validator("webhook_ca_file", mode="before")
    @classmethod
    def _no_endpoints_ca_if_empty(cls, file: object) -> object:
        return file or None

    @field_validator("webhook_ca_file")
    @classmethod
    def _endpoints_ca_is_believable(cls, file: Path | None) -> Path | None:
        if file is not None:
            check_authorities(file)
        return file
