"""One POST of an order each, and the mark by which it is found again if it was carried out.

A customer who is answered 503 tries again with a new order, as told. Whether the first try was carried out
all the same shows only afterwards, so each attempt orders quantities that no other attempt does.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from http import HTTPStatus
from typing import Any, Final, NamedTuple

# Two quantities of up to this many pieces tell a million attempts apart.
BASE: Final = 1000
# Each tenth attempt pays with a card that is declined: its stock has to come back.
DECLINED_EACH: Final = 10
ATTEMPTS_AT_MOST: Final = BASE * BASE


class Till(NamedTuple):
    """What customers pay with, in the words of the payment gateway, and for each product (dollars)."""

    good: str
    declined: str
    price: str


# Of the built-in gateway.
PLAYED: Final = Till("tok_success", "tok_declined", "0.01")


class Outcome(StrEnum):
    """What the customer knows of an attempt."""

    ACCEPTED = "accepted"
    # Not carried out, neither now nor later.
    REFUSED = "refused"
    # Carried out or not: no answer came, or one that says that nobody knows.
    UNKNOWN = "unknown"
    # An answer that no fault excuses.
    WRONG = "wrong"


class Attempt(NamedTuple):
    number: int
    outcome: Outcome
    # Status and body, or the error, for people.
    answer: str
    # Whom the order was sent to.
    door: str
    answered_at: datetime
    seconds: float
    order_id: str = ""


def body_of(number: int, products: Sequence[str], till: Till = PLAYED) -> dict[str, Any]:
    """The order of attempt `number`: two products of the list, neighbouring attempts take other ones."""
    first = number % (len(products) // 2) * 2
    declined = number % DECLINED_EACH == DECLINED_EACH - 1
    return {
        "ids": list(products[first : first + 2]),
        "quantities": [number % BASE + 1, number // BASE + 1],
        "paymentToken": till.declined if declined else till.good,
    }


def number_of(lines: Sequence[Mapping[str, Any]]) -> int:
    """Which attempt made the order with these lines. Raises ValueError for the order of somebody else."""
    if len(lines) != 2:  # noqa: PLR2004  # as `body_of` makes them
        raise ValueError(f"an order of {len(lines)} lines is none of ours")
    low, high = (int(line["quantity"]) for line in lines)
    return low - 1 + (high - 1) * BASE


def end_of(number: int) -> str:
    """How the order of attempt `number` ends in a shop that is well."""
    return "CANCELLED" if number % DECLINED_EACH == DECLINED_EACH - 1 else "PAID"


def outcome_of(status: int, document: Mapping[str, Any]) -> Outcome:
    """What a customer may conclude from an answer."""
    if status == HTTPStatus.CREATED:
        return Outcome.ACCEPTED
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        return Outcome.UNKNOWN if document.get("outcome") == "unknown" else Outcome.REFUSED
    if status in {HTTPStatus.BAD_GATEWAY, HTTPStatus.GATEWAY_TIMEOUT}:
        return Outcome.UNKNOWN
    return Outcome.WRONG
