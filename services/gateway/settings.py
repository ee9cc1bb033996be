"""Settings of the gateway."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Self

from pydantic import Field, field_validator, model_validator
from pydantic_settings import NoDecode

from services.gateway.callers import Networks, networks
from services.shared.settings import Port, Settings
from services.shared.urls import with_password

# As browsers send it: a scheme, a host, perhaps a port; never a path.
Origin = Annotated[str, Field(pattern=r"^(\*|https?://[^/\s]+)$")]
Requests = Annotated[int, Field(ge=1)]


class GatewaySettings(Settings):
    service: ClassVar[str] = "gateway"
    port: Port = 3003
    redis_url: str = "redis://127.0.0.1:6379/0"
    # Of the user in that URL, where it is not in there.
    redis_password: str = ""
    auth_url: str = "http://127.0.0.1:3001"
    order_url: str = "http://127.0.0.1:3002"
    product_url: str = "http://127.0.0.1:3004"
    inventory_url: str = "http://127.0.0.1:3005"
    payment_url: str = "http://127.0.0.1:3006"
    notification_url: str = "http://127.0.0.1:3007"
    # Empty: the shop has none, and there are no paths to it.
    fulfilment_url: str = ""
    rate_limit_enabled: bool = True
    rate_limit_window_seconds: Annotated[float, Field(gt=0, le=24 * 3600)] = 60
    # Per user, or per address where there is no user.
    rate_limit_requests: Requests = 600
    # Of all users at one address together: accounts are free.
    rate_limit_address_requests: Requests = 3000
    # Guesses (passwords, codes, tokens of letters) per address: for one account on one path, and for all.
    rate_limit_account_guesses: Requests = 10
    rate_limit_address_guesses: Requests = 120
    # Addresses or networks, separated by commas, whose X-Forwarded-For is believed.
    trusted_proxies: Annotated[Networks, NoDecode] = ()
    # Callers' traces are gone on with: behind a proxy that makes them, or takes away what strangers send.
    # Else each request begins one, and who calls can neither have it recorded nor keep it from that.
    trusted_traces: bool = False
    # Whose web pages may use the API: origins (`https://shop.example`), separated by commas, or `*` for all.
    cors_origins: Annotated[
        tuple[Origin, ...],
        NoDecode,
        Field(
            json_schema_extra={
                "x-allowed": "origins such as https://shop.example, with commas between them, or *"
            }
        ),
    ] = ()
    # Until an answer begins. A stream may then last as long as its service likes.
    upstream_timeout_seconds: Annotated[float, Field(gt=0)] = 15
    # Streams that callers at one address have open at a time, at each replica.
    max_streams_per_address: Annotated[int, Field(ge=1)] = 100

    @field_validator("cors_origins", mode="before")
    @classmethod
    def _split(cls, text: object) -> object:
        if not isinstance(text, str):
            return text
        return tuple(part.strip().rstrip("/") for part in text.split(",") if part.strip())

    @field_validator("trusted_proxies", mode="before")
    @classmethod
    def _parse(cls, text: object) -> object:
        return networks(text)

    @model_validator(mode="after")
    def _log_in(self) -> Self:
        self.redis_url = with_password(self.redis_url, self.redis_password)
        return self

    @property
    def upstreams(self) -> Mapping[str, str]:
        """Where each service is."""
        urls = {
            "auth": self.auth_url,
            "order": self.order_url,
            "product": self.product_url,
            "inventory": self.inventory_url,
            "payment": self.payment_url,
            "notification": self.notification_url,
            "fulfilment": self.fulfilment_url,
        }
        return {service: url.rstrip("/") for service, url in urls.items() if url}
