"""What every event is made of: ids, quantities, lines, and that it is about something."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, ClassVar, Final, Literal, NamedTuple

from msgspec import Meta, Struct

# An id becomes an AMQP property (the correlation id), which holds 255 bytes. 64 characters are more only if
# each of them is 4 bytes of UTF-8; so one of them must not be, or there must be fewer. It is written so that
# others' regular expressions mean the same by it: it is in the published schemas.
_FITS: Final = "[^\U00010000-\U0010ffff]|^[\\s\\S]{1,63}$"
OrderId = Annotated[str, Meta(min_length=1, max_length=64, pattern=_FITS)]
ProductId = Annotated[str, Meta(min_length=1, max_length=64, pattern=_FITS)]
# The id of a requested refund. Messages without one are about the whole captured amount.
RefundRequestId = Annotated[str, Meta(min_length=1, max_length=64, pattern=_FITS)]
Quantity = Annotated[int, Meta(ge=1, le=1_000_000)]
Count = Annotated[int, Meta(ge=0, le=1_000_000_000)]
LONGEST_TEXT: Final = 512
Text = Annotated[str, Meta(max_length=LONGEST_TEXT)]
Fulfilment = Literal["all", "partial"]
# How many steps the order had taken when the event was published: later events have a larger number.
Sequence = Annotated[int, Meta(ge=1)]


class Line(Struct, frozen=True, rename="camel"):
    """A quantity of a product."""

    product_id: ProductId
    quantity: Quantity


class PricedLine(Struct, frozen=True, rename="camel"):
    """A line with the price per piece, in the order's currency."""

    product_id: ProductId
    quantity: Quantity
    price: Decimal


class SoldLine(Line, frozen=True, omit_defaults=True):
    """A line as it was sold, with the product's name and the price per piece. Older publishers omit both."""

    name: Text = ""
    price: Decimal | None = None


class Missing(Struct, frozen=True, rename="camel"):
    """A line that cannot be served, with the requested and the available quantity."""

    product_id: ProductId
    requested: Quantity
    available: Count


class Event(Struct, frozen=True, rename="camel", kw_only=True, omit_defaults=True):
    """Something that happened, or (imperative names) a request to another service."""

    type: ClassVar[str]

    @property
    def subject(self) -> str:
        """What the event is about: the correlation id, by which traces and logs find it."""
        raise NotImplementedError


class OrderEvent(Event, frozen=True, kw_only=True):
    """An event in the life of one order."""

    order_id: OrderId

    @property
    def subject(self) -> str:
        return self.order_id


class OrderNews(OrderEvent, frozen=True, kw_only=True):
    """News about an order for customers and webhooks."""

    # Older publishers omit it.
    sequence: Sequence | None = None


class Part(NamedTuple):
    """One service's part of the contract.

    `consumes` has types of events (routing keys) by queue, for their classes are others' to define: a service
    may wait for the answer to its own event.
    """

    publishes: tuple[type[Event], ...] = ()
    consumes: Mapping[str, tuple[str, ...]] = {}


def lines_differ(lines: tuple[Line | PricedLine | Missing, ...]) -> None:
    """Raises ValueError for a product that is named twice."""
    if len({line.product_id for line in lines}) != len(lines):
        raise ValueError("a product is named twice")
