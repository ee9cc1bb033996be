"""Minor units as Stripe counts them, which are ours but for a few currencies. Pure.

https://docs.stripe.com/currencies#special-cases
"""

from typing import Final

from services.shared.contract import money

# Without decimals, and counted as if they had two.
COUNTED_IN_HUNDREDTHS: Final = frozenset({"ISK", "UGX"})
# With two decimals of ours that nobody uses, and without any there.
COUNTED_WHOLE: Final = frozenset({"MGA"})


def theirs(amount: int, currency: str) -> int:
    """Raises ValueError for an amount that cannot be charged."""
    if currency in COUNTED_IN_HUNDREDTHS:
        return amount * 100
    if currency in COUNTED_WHOLE:
        return _divided(amount, 100, currency)
    if money.EXPONENTS[currency] == 3:  # noqa: PLR2004  # decimals
        _divided(amount, 10, currency)  # the last one has to be 0
    return amount


def ours(amount: int, currency: str) -> int:
    if currency in COUNTED_IN_HUNDREDTHS:
        return amount // 100
    return amount * 100 if currency in COUNTED_WHOLE else amount


def _divided(amount: int, by: int, currency: str) -> int:
    whole, rest = divmod(amount, by)
    if rest:
        raise ValueError(f"{money.to_decimal(amount, currency)} {currency} is no amount that can be charged")
    return whole
