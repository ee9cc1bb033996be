"""Amounts as Stripe counts them: the same but for some currencies, and back again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.payment.stripe_amounts import ours, theirs
from services.shared.contract import money


@pytest.mark.parametrize(
    ("amount", "currency", "counted"),
    [
        (1999, "EUR", 1999),
        (500, "JPY", 500),
        (500, "XOF", 500),
        (5, "ISK", 500),
        (5, "UGX", 500),
        (500, "MGA", 5),
        (5120, "KWD", 5120),
    ],
)
def test_amounts_are_counted_as_stripe_documents_it(amount: int, currency: str, counted: int) -> None:
    assert theirs(amount, currency) == counted
    assert ours(counted, currency) == amount


@pytest.mark.parametrize(("amount", "currency"), [(5124, "KWD"), (1, "BHD"), (501, "MGA")])
def test_what_stripe_cannot_charge_is_no_amount(amount: int, currency: str) -> None:
    with pytest.raises(ValueError, match="is no amount that can be charged"):
        theirs(amount, currency)


@given(currency=st.sampled_from(sorted(money.EXPONENTS)), amount=st.integers(0, money.LARGEST))
def test_whatever_can_be_charged_comes_back_as_it_was(currency: str, amount: int) -> None:
    try:
        counted = theirs(amount, currency)
    except ValueError:
        return
    assert ours(counted, currency) == amount
