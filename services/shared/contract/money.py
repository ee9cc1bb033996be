"""Money: a decimal string on the wire, integer minor units inside, never a binary float.

Others compute in binary floats, and send what comes of it: 299.96999999999997. That noise is rounded away.
"""

from decimal import Context, Decimal, DecimalException, Inexact, InvalidOperation, Overflow
from typing import Final

# Of each number of decimals, the currencies of ISO 4217 that have them. Codes without any (gold, testing)
# cannot be charged. The list is ours, and only grows: amounts are stored without their decimals, and have to
# be read when ISO has long withdrawn their currency, as it did HRK and BGN.
_ZERO: Final = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"
_TWO: Final = (
    "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BOV BRL BSD BTN BWP "
    "BYN BZD CAD CDF CHE CHF CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR "
    "FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HRK HTG HUF IDR ILS INR IRR JMD KES KGS "
    "KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN "
    "MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD "
    "SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS "
    "UAH USD USN UYU UZS VED VES WST XAD XCD XCG YER ZAR ZMW ZWG"
)
_THREE: Final = "BHD IQD JOD KWD LYD OMR TND"
_FOUR: Final = "CLF UYW"
EXPONENTS: Final = {
    code: decimals
    for decimals, codes in ((0, _ZERO), (2, _TWO), (3, _THREE), (4, _FOUR))
    for code in codes.split()
}

# The largest amount, in minor units: what a 64-bit BSON integer holds, with room to add several up.
LARGEST: Final = 10**15
# In minor units. Far above the noise of a sum of doubles, far below any amount that is meant.
NOISE: Final = Decimal("1e-6")
# Python rounds silently to 28 digits unless told to complain.
_EXACTLY: Final = Context(traps=[Inexact, InvalidOperation, Overflow])


def exponent(currency: str) -> int:
    """How many decimals `currency` has. Raises ValueError for a code that ISO 4217 never listed."""
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
