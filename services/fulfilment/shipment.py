"""One shipment an order, and what is done to it: the aggregate, and the commands of whoever sends goods."""

from collections.abc import Iterator
from datetime import datetime
from enum import StrEnum
from typing import ClassVar, Final

from msgspec import Struct

from services.shared.contract.decisions import Standing
from services.shared.contract.idempotency import Keyed
from services.shared.contract.table import Watched


class ShipmentState(StrEnum):
    # Paid for.
    READY = "READY"
    # The order was asked whether the goods may go.
    SHIPPING = "SHIPPING"
    SHIPPED = "SHIPPED"
    DELIVERED = "DELIVERED"
    # Nothing is to be sent: all of it is refunded, or to be.
    CANCELLED = "CANCELLED"


# Nothing happens by itself any more.
ENDS: Final = (
    ShipmentState.READY,
    ShipmentState.SHIPPED,
    ShipmentState.DELIVERED,
    ShipmentState.CANCELLED,
)
# The order has said which goods may go.
GONE: Final = (ShipmentState.SHIPPED, ShipmentState.DELIVERED)


class Goods(Struct, frozen=True, rename="camel", omit_defaults=True):
    """So many pieces of a product, as it was called when it was sold."""

    product_id: str
    quantity: int
    name: str = ""


class Said(Struct, frozen=True, rename="camel"):
    """A command that moved the shipment on: what it published has its id of this."""

    event: str
    event_id: str
    at: datetime


class Shipment(Watched, frozen=True, kw_only=True):
    """`_id` is the order's."""

    collection: ClassVar[str] = "shipments"
    state: ShipmentState
    # What was paid for; once the order has approved, what is sent of it.
    products: tuple[Goods, ...] = ()
    email: str = ""
    locale: str | None = None
    carrier: str | None = None
    tracking: str | None = None
    # Of the order's step by which it approved.
    sequence: int | None = None
    # Why the order has refused.
    refusal: str = ""
    # In the order in which they came. A shipment that was made before they were kept has none.
    commands: tuple[Said, ...] = ()
    created_at: datetime
    updated_at: datetime

    @property
    def standing(self) -> Standing:
        return Standing(self.id, self.state, (*self._notes(), *self.contradictions))

    def _notes(self) -> Iterator[str]:
        if self.carrier or self.tracking:
            yield f"by {self.carrier or 'somebody'}, {self.tracking or 'without a number'}"
        if self.refusal:
            yield self.refusal


class Command(Keyed, frozen=True, kw_only=True):
    """What is said of an order's goods by whoever sends them."""

    type: ClassVar[str]
    order_id: str


class Ship(Command, frozen=True, kw_only=True):
    """They are about to be sent, if the order does not mind."""

    type = "SHIP"
    # Who carries them, and by which number they are found there.
    carrier: str | None = None
    tracking: str | None = None


class Deliver(Command, frozen=True, kw_only=True):
    """They have arrived."""

    type = "DELIVER"
