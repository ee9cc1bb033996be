"""What an order is. Amounts are integer minor units of its currency."""

from datetime import datetime
from enum import StrEnum

from msgspec import Struct, field

from services.shared.contract.decisions import Aggregate
from services.shared.contract.events import Fulfilment


class Status(StrEnum):
    PENDING = "PENDING"
    CONFIRMED = "CONFIRMED"
    PAID = "PAID"
    CANCELLED = "CANCELLED"
    REFUNDING = "REFUNDING"
    REFUNDED = "REFUNDED"


class LineState(StrEnum):
    REQUESTED = "REQUESTED"
    HELD = "HELD"
    REFUSED = "REFUSED"
    SOLD = "SOLD"
    RELEASED = "RELEASED"


class Progress(StrEnum):
    """Of a compensation: of the stock given back, of the money given back."""

    NONE = "none"
    PENDING = "pending"
    DONE = "done"


class Line(Struct, frozen=True, rename="camel"):
    product_id: str
    quantity: int
    price: int
    state: LineState = LineState.REQUESTED


class Entry(Struct, frozen=True, rename="camel"):
    """One step of the order's history."""

    at: datetime
    event: str
    from_: Status | None = field(name="from")
    to: Status
    event_id: str
    trace_id: str | None = None


class Contradiction(Struct, frozen=True, rename="camel"):
    """An event that contradicts what happened: for a human to look at."""

    at: datetime
    event: str
    event_id: str
    reason: str


class Order(Aggregate, frozen=True, kw_only=True):
    collection = "orders"

    customer_id: str
    email: str
    status: Status
    # When the status last changed, by the database's clock: what staleness counts from.
    state_since: datetime
    lines: tuple[Line, ...]
    currency: str
    total: int
    fulfilment: Fulfilment
    payment_token: str | None = None
    cancellation_reason: str | None = None
    cancellation_detail: str | None = None
    transaction_id: str | None = None
    stock_compensation: Progress = Progress.NONE
    # Release requests that inventory has not answered yet.
    releases_open: int = 0
    refund: Progress = Progress.NONE
    attention: tuple[Contradiction, ...] = ()
    history: tuple[Entry, ...] = ()
    created_at: datetime
    updated_at: datetime

    @property
    def settled(self) -> bool:
        """Nothing more will happen by itself."""
        if self.status is Status.CANCELLED:
            return Progress.PENDING not in (self.stock_compensation, self.refund)
        return self.status in {Status.PAID, Status.REFUNDED}
