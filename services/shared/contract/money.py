"""Money: a decimal string on the wire, integer minor units inside, never a binary float.

Others compute in binary floats, and send what comes of it: 299.96999999999997. That noise is rounded away.
"""

from decimal import Context, Decimal, DecimalException, Inexact, InvalidOperation, Overflow
from typing import Final

from iso4217 import Currency

# ISO 4217: how many decimals a currency has. Codes without any (gold, testing) cannot be charged.
EXPONENTS: Final = {c.code: c.exponent for c in Currency if c.exponent is not None}

# The largest amount, in minor units: what a 64-bit BSON integer holds, with room to add several up.
LARGEST: Final = 10**15
# In minor units. Far above the noise of a sum of doubles, far below any amount that is meant.
NOISE: Final = Decimal("1e-6")
# Python rounds silently to 28 digits unless told to complain.
_EXACTLY: Final = Context(traps=[Inexact, InvalidOperation, Overflow])


def exponent(currency: str) -> int:
    """How many decimals `currency` has. Raises ValueError for a code that ISO 4217 does not list."""
    try:
        return EXPONENTS[currency]
    except KeyError:
        raise ValueError(f"unknown currency {currency!r}: use an ISO 4217 code such as USD") from None


def to_minor(amount: Decimal, currency: str) -> int:
    """`amount` in minor units (cents of USD, yen of JPY).

    Less than 1e-6 of a minor unit beside it is the noise of a binary float. Raises ValueError when it is
    negative, not a number, too large or finer than the currency allows.
    """
    decimals = exponent(currency)
    try:
        minor = amount.scaleb(decimals, _EXACTLY)
        nearest = minor.to_integral_value()
        whole = amount.is_finite() and abs(minor - nearest) < NOISE
    except DecimalException:
        whole = False
    if not whole:
        raise ValueError(f"{amount} is not an amount of {currency}: at most {decimals} decimals")
    if not 0 <= nearest <= LARGEST:
        raise ValueError(f"{amount} {currency} is out of range")
    return int(nearest)


def to_decimal(minor: int, currency: str) -> Decimal:
    """The inverse of `to_minor`, with exactly the decimals of the currency: 29999 USD is 299.99."""
    return Decimal(minor).scaleb(-exponent(currency))
