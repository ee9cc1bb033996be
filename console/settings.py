"""Settings of the console."""

import os
from collections.abc import Mapping
from typing import Annotated, ClassVar, Final, Self
from urllib.parse import urlsplit

from pydantic import field_validator, model_validator
from pydantic_settings import NoDecode

from sagactl.access import Access
from services.gateway.callers import Networks, networks
from services.shared.settings import DatabaseSettings, Port
from services.shared.urls import with_password

# Kubernetes sets it in every container.
IN_A_CLUSTER: Final = "KUBERNETES_SERVICE_HOST"


class ConsoleSettings(DatabaseSettings):
    service: ClassVar[str] = "console"
    port: Port = 3008
    amqp_url: str = "amqp://guest:guest@127.0.0.1:5672/"
    # Of the user in that URL, and in the one below.
    amqp_password: str = ""
    management_url: str = "http://guest:guest@127.0.0.1:15672"
    redis_url: str = "redis://127.0.0.1:6379/0"
    redis_password: str = ""
    auth_url: str = "http://127.0.0.1:3001"
    order_url: str = "http://127.0.0.1:3002"
    inventory_url: str = "http://127.0.0.1:3005"
    notification_url: str = "http://127.0.0.1:3007"
    # Addresses or networks, separated by commas, whose X-Forwarded-For is believed: of an Ingress of its own.
    trusted_proxies: Annotated[Networks, NoDecode] = ()
    # For a browser that takes no Secure cookie from http://localhost. Never where the console is reached by a
    # network.
    insecure_cookie: bool = False

    @field_validator("trusted_proxies", mode="before")
    @classmethod
    def _parse(cls, text: object) -> object:
        return networks(text)

    @model_validator(mode="after")
    def _log_in(self) -> Self:
        self.amqp_url = with_password(self.amqp_url, self.amqp_password)
        self.management_url = with_password(self.management_url, self.amqp_password)
        self.redis_url = with_password(self.redis_url, self.redis_password)
        return self

    @property
    def order_service(self) -> str:
        """The name of its Service, by which SagaMonitors of its namespace know it."""
        return urlsplit(self.order_url).hostname or ""

    @property
    def urls(self) -> Mapping[str, str]:
        """Of the services that are asked to act."""
        return {
            "auth": self.auth_url,
            "order": self.order_url,
            "inventory": self.inventory_url,
            "notification": self.notification_url,
        }

    @property
    def access(self) -> Access:
        is_local = IN_A_CLUSTER not in os.environ
        return Access(self.mongodb_url, self.amqp_url, self.management_url, is_local=is_local)
