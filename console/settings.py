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
    gateway_url: str = "http://127.0.0.1:3003"
    product_url: str = "http://127.0.0.1:3004"
    inventory_url: str = "http://127.0.0.1:3005"
    payment_url: str = "http://127.0.0.1:3006"
    notification_url: str = "http://127.0.0.1:3007"
    # Of a shop that has the service; empty where there is none.
    fulfilment_url: str = ""
    # Where the browsers of who is on call find Jaeger's pages. Without it traces are ids, and no links.
    jaeger_url: str = ""
    # Addresses or networks, separated by commas, whose X-Forwarded-For is believed: of an Ingress of its own.
    trusted_proxies: Annotated[Networks, NoDecode] = ()
    # For a browser that takes no Secure cookie from http://localhost. Never where the console is reached by a
    # network.
    insecure_cookie: bool = False

    @field_validator("trusted_proxies", mode="before")
    @classmethod
    def _parse(cls, text: object) -> object:
        return networks(text)

    @field_validator("jaeger_url")
    @classmethod
    def _link(cls, text: str) -> str:
        parts = urlsplit(text)
        if text and not (parts.scheme in {"http", "https"} and parts.hostname):
            raise ValueError("JAEGER_URL is the address of a web page, such as https://jaeger.example.com")
        return text.rstrip("/")

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
        """Of the services that there are: some are asked to act, all whether they are ready."""
        urls = {
            "gateway": self.gateway_url,
            "auth": self.auth_url,
            "product": self.product_url,
            "order": self.order_url,
            "inventory": self.inventory_url,
            "payment": self.payment_url,
            "notification": self.notification_url,
            "fulfilment": self.fulfilment_url,
        }
        return {service: url for service, url in urls.items() if url}

    @property
    def access(self) -> Access:
        is_local = IN_A_CLUSTER not in os.environ
        return Access(self.mongodb_url, self.amqp_url, self.management_url, is_local=is_local)
