"""The payment service's settings."""

from typing import Annotated, ClassVar

from pydantic import Field

from services.shared.settings import EngineSettings, Port


class PaymentSettings(EngineSettings):
    service: ClassVar[str] = "payment"
    port: Port = 3006
    # Of the mock gateway: the ratio of charges without a test token that succeed, and how long it takes.
    payment_success_rate: Annotated[float, Field(ge=0, le=1)] = 0.9
    payment_delay_seconds: Annotated[float, Field(ge=0)] = 0
