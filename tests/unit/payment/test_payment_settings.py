"""What the payment service has to be told before it starts."""

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
    with pytest.raises(ValidationError, match="Input should be 'mock'"):
        PaymentSettings()


def test_test_tokens_are_off_unless_they_are_switched_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAYMENT_GATEWAY", "mock")
    assert not PaymentSettings().payment_test_tokens
