"""Money is exact, or it is refused."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from iso4217 import Currency

from services.shared.contract import money

CURRENCIES = st.sampled_from(sorted(money.EXPONENTS))


@given(st.integers(0, money.LARGEST), CURRENCIES)
def test_minor_units_survive_the_way_out_and_back(minor: int, currency: str) -> None:
    assert money.to_minor(money.to_decimal(minor, currency), currency) == minor


@given(st.integers(0, money.LARGEST), CURRENCIES)
def test_an_amount_is_written_with_exactly_the_decimals_of_its_currency(minor: int, currency: str) -> None:
    _, _, decimals = str(money.to_decimal(minor, currency)).partition(".")
    assert len(decimals) == money.exponent(currency)


@pytest.mark.parametrize(
    ("amount", "currency", "minor"),
    [
        ("299.99", "USD", 29999),
        ("0.1", "EUR", 10),
        ("0", "USD", 0),
        ("-0", "USD", 0),
        ("1.500", "USD", 150),
        ("299", "JPY", 299),
        ("1.234", "BHD", 1234),
        ("1E+3", "JPY", 1000),
        ("299.96999999999997", "USD", 29997),  # 3 x 99.99 in binary floats
        ("0.30000000000000004", "USD", 30),
        ("434.99999999999994", "JPY", 435),
        ("-0.00000000000000001", "USD", 0),
        ("1.0000000099", "USD", 100),  # 9.9e-7 of a cent
    ],
)
def test_an_amount_is_read_in_the_minor_units_of_its_currency(amount: str, currency: str, minor: int) -> None:
    assert money.to_minor(Decimal(amount), currency) == minor


@pytest.mark.parametrize(
    ("amount", "currency"),
    [
        ("NaN", "USD"),
        ("sNaN", "USD"),
        ("Infinity", "USD"),
        ("-Infinity", "USD"),
        ("0.001", "USD"),
        ("1.00000001", "USD"),  # 1e-6 of a cent
        ("1.00999999", "USD"),
        ("0.5", "JPY"),
        ("299.9900000000000000000000000000000001", "USD"),
        ("1e-999999999", "USD"),
        ("-0.01", "USD"),
        ("10000000000000.01", "USD"),
        ("1e30", "JPY"),
        ("1e999999999", "USD"),
    ],
)
def test_what_cannot_be_charged_exactly_is_refused(amount: str, currency: str) -> None:
    with pytest.raises(ValueError, match=currency):
        money.to_minor(Decimal(amount), currency)


@pytest.mark.parametrize("code", ["", "usd", "XXX", "XAU", "EURO"])
def test_a_currency_that_nobody_can_pay_in_is_refused(code: str) -> None:
    with pytest.raises(ValueError, match="unknown currency"):
        money.to_minor(Decimal(1), code)


@given(st.decimals(allow_nan=True, allow_infinity=True), CURRENCIES)
def test_any_decimal_is_either_exact_but_for_noise_or_refused(amount: Decimal, currency: str) -> None:
    try:
        minor = money.to_minor(amount, currency)
    except ValueError:
        return
    unit = money.to_decimal(1, currency)
    assert abs(money.to_decimal(minor, currency) - amount) < unit * Decimal("1e-6")


@given(st.lists(st.integers(1, 10**6), min_size=1, max_size=20), CURRENCIES)
def test_a_sum_of_binary_floats_is_read_as_the_sum_that_was_meant(minors: list[int], currency: str) -> None:
    total = sum(float(money.to_decimal(minor, currency)) for minor in minors)
    assert money.to_minor(Decimal(repr(total)), currency) == sum(minors)


def test_the_largest_amount_is_the_last_one_accepted() -> None:
    assert money.to_minor(Decimal(money.LARGEST), "JPY") == money.LARGEST
    with pytest.raises(ValueError, match="out of range"):
        money.to_minor(Decimal(money.LARGEST + 1), "JPY")


def test_every_currency_of_iso_4217_is_read_by_its_decimals() -> None:
    listed = {each.code: each.exponent for each in Currency if each.exponent is not None}
    assert listed.items() <= money.EXPONENTS.items(), "ours grows with theirs, and changes none"


@pytest.mark.parametrize("code", ["HRK", "BGN"])
def test_an_amount_of_a_currency_that_is_no_more_is_read_forever(code: str) -> None:
    assert money.to_decimal(500, code) == Decimal("5.00")
    assert money.to_minor(Decimal("5.00"), code) == 500


def test_no_currency_is_ever_taken_off_the_list() -> None:
    assert len(money.EXPONENTS) >= 167
