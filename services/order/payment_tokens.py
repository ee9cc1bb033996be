"""What a customer may send instead of a card: the token that a payment provider made of it."""

import re
from itertools import cycle
from typing import Annotated, Final, TypeAlias

from pydantic import AfterValidator, WithJsonSchema

LONGEST: Final = 200
PATTERN: Final = r"^(tok|pm)_[A-Za-z0-9_]+$"
# Of card numbers (ISO/IEC 7812), also in groups.
CARD_DIGITS: Final = range(12, 20)


def checked(token: str) -> str:
    """The token. Raises ValueError for what is none, without a word of what was sent."""
    if len(token) > LONGEST or not re.fullmatch(PATTERN, token):
        raise ValueError(
            "a payment token is tok_ or pm_ with letters, digits and _, at most 200 characters;"
            " never send a card number"
        )
    if any(_is_card_number(digits.replace("_", "")) for digits in re.findall(r"[0-9_]+", token)):
        raise ValueError("this token holds a card number: never send one; send the payment provider's token")
    return token


def _is_card_number(digits: str) -> bool:
    """Whether the digits are as many as a card's, and pass its check (Luhn)."""
    if len(digits) not in CARD_DIGITS:
        return False
    products = (int(digit) * factor for digit, factor in zip(reversed(digits), cycle((1, 2)), strict=False))
    return sum(product - 9 if product > 9 else product for product in products) % 10 == 0  # noqa: PLR2004


PaymentToken: TypeAlias = Annotated[
    str, AfterValidator(checked), WithJsonSchema({"type": "string", "maxLength": LONGEST, "pattern": PATTERN})
]
