"""The payment service's settings."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from services.shared.settings import EngineSettings, Port


class PaymentSettings(EngineSettings):
    service: ClassVar[str] = "payment"
    port: Port = 3006
    # Who moves the money. There is no default: nobody sells goods for nothing by mistake.
    payment_gateway: Literal["mock"]
    # Of the mock gateway: whether a token such as `tok_declined` says how its charge goes.
    payment_test_tokens: bool = False
    # Of the mock gateway: the ratio of charges without a test token that succeed, and how long it takes.
    payment_success_rate: Annotated[float, Field(ge=0, le=1)] = 0.9
    payment_delay_seconds: Annotated[float, Field(ge=0)] = 0

    @model_validator(mode="before")
    @classmethod
    def _is_said(cls, given: dict[str, Any]) -> dict[str, Any]:
        if not given.get("payment_gateway"):
            raise ValueError("set PAYMENT_GATEWAY: `mock` is the built-in gateway, which moves no money")
        return given
