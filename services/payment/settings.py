"""The payment service's settings."""

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, SecretStr, model_validator

from services.shared.settings import EngineSettings, Port


class PaymentSettings(EngineSettings):
    service: ClassVar[str] = "payment"
    port: Port = 3006
    # Who moves the money. There is no default: nobody sells goods for nothing by mistake.
    payment_gateway: Literal["mock", "stripe"]
    # Of Stripe: the secret key, where customers come back to from their bank, and its API where it is not
    # Stripe's own.
    stripe_api_key: SecretStr = SecretStr("")
    stripe_return_url: str = ""
    stripe_api_url: str = ""
    # automatic: money is taken at once. manual: it is held first, and taken once that is stored, so that a
    # cancellation may come between.
    payment_capture: Literal["automatic", "manual"] = "automatic"
    # By which its webhooks are signed, and the one that is to follow or has gone before; without any, none is
    # believed.
    payment_webhook_secret: SecretStr = SecretStr("")
    payment_webhook_secret_other: SecretStr = SecretStr("")
    # Of the mock gateway: whether a token such as `tok_declined` says how its charge goes.
    payment_test_tokens: bool = False
    # Of the mock gateway: the ratio of charges without a test token that succeed, and how long it takes.
    payment_success_rate: Annotated[float, Field(ge=0, le=1)] = 0.9
    payment_delay_seconds: Annotated[float, Field(ge=0)] = 0

    @property
    def webhook_secrets(self) -> tuple[str, ...]:
        both = (self.payment_webhook_secret, self.payment_webhook_secret_other)
        return tuple(secret.get_secret_value() for secret in both if secret.get_secret_value())

    @model_validator(mode="before")
    @classmethod
    def _is_said(cls, given: dict[str, Any]) -> dict[str, Any]:
        if not given.get("payment_gateway"):
            raise ValueError("set PAYMENT_GATEWAY: `mock` is the built-in gateway, which moves no money")
        return given

    @model_validator(mode="after")
    def _can_pay(self) -> Self:
        if self.payment_gateway == "stripe" and not (
            self.stripe_api_key.get_secret_value() and self.stripe_return_url
        ):
            raise ValueError("PAYMENT_GATEWAY is stripe: set STRIPE_API_KEY and STRIPE_RETURN_URL, too")
        return self
