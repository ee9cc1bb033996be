"""What the payment service has to be told before it starts."""

from typing import Any

import pytest
from pydantic import ValidationError

from services.payment.settings import PaymentSettings


@pytest.mark.parametrize("said", [None, ""])
def test_nobody_gets_the_mock_gateway_without_saying_so(
    said: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PAYMENT_GATEWAY", raising=False)
    if said is not None:
        monkeypatch.setenv("PAYMENT_GATEWAY", said)
    with pytest.raises(ValidationError, match="set PAYMENT_GATEWAY: `mock` is the built-in gateway"):
        PaymentSettings()


def test_a_gateway_that_is_not_built_in_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAYMENT_GATEWAY", "bank")
    with pytest.raises(ValidationError, match="Input should be 'mock' or 'stripe'"):
        PaymentSettings()


def test_test_tokens_are_off_unless_they_are_switched_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAYMENT_GATEWAY", "mock")
    assert not PaymentSettings().payment_test_tokens


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"stripe_api_key": "sk_test_1"},
        {"stripe_return_url": "https://shop.example/paid"},
    ],
)
def test_stripe_is_not_asked_without_a_key_or_a_way_back_for_customers(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="set STRIPE_API_KEY and STRIPE_RETURN_URL, too"):
        PaymentSettings(payment_gateway="stripe", **given)


def test_two_secrets_hold_while_they_are_exchanged() -> None:
    both: dict[str, Any] = {"payment_webhook_secret": "now", "payment_webhook_secret_other": "next"}
    assert PaymentSettings(payment_gateway="mock", **both).webhook_secrets == ("now", "next")
    assert PaymentSettings(payment_gateway="mock").webhook_secrets == ()
