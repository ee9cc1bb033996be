"""What an order is. Amounts are integer minor units of its currency."""

from collections.abc import Iterator
from datetime import datetime
from enum import StrEnum
from typing import Final

from msgspec import Struct, field

from services.shared.contract import money
from services.shared.contract.audit import Actor
from services.shared.contract.decisions import Standing
from services.shared.contract.events import Fulfilment
from services.shared.contract.table import Watched


class Status(StrEnum):
    PENDING = "PENDING"
    CONFIRMED = "CONFIRMED"
    PAID = "PAID"
    CANCELLED = "CANCELLED"
    REFUNDING = "REFUNDING"
    REFUNDED = "REFUNDED"


# Something is still to come.
OPEN: Final = (Status.PENDING, Status.CONFIRMED, Status.REFUNDING)
# Nothing happens by itself any more, once its compensation is through.
ENDS: Final = (Status.PAID, Status.CANCELLED, Status.REFUNDED)
# What was reserved is given back, or was.
COMPENSATED: Final = frozenset({Status.CANCELLED, Status.REFUNDING, Status.REFUNDED})


class CancellationReason(StrEnum):
    OUT_OF_STOCK = "OUT_OF_STOCK"
    PAYMENT_FAILED = "PAYMENT_FAILED"
    CUSTOMER_CANCELLED = "CUSTOMER_CANCELLED"
    SAGA_TIMEOUT = "SAGA_TIMEOUT"


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


GIVING_BACK: Final = {Progress.PENDING: "its {} is to be given back", Progress.DONE: "its {} is given back"}


class Line(Struct, frozen=True, rename="camel"):
    product_id: str
    quantity: int
    price: int
    state: LineState = LineState.REQUESTED
    # As the product was called when it was sold: it may be renamed, or deleted.
    name: str = ""


class LineChange(Struct, frozen=True, rename="camel"):
    """What became of a line."""

    product_id: str
    to: LineState


class HistoryEntry(Struct, frozen=True, rename="camel", omit_defaults=True):
    """One step of the order's history."""

    at: datetime
    event: str
    from_: Status | None = field(name="from")
    to: Status
    event_id: str
    trace_id: str | None = None
    # As whoever caused it says.
    reason: str | None = None
    # The lines that changed, where not all changed alike: those of a full order do, and need no list.
    lines: tuple[LineChange, ...] = ()
    # Who asked for it; None for what messages cause, and for the order itself, which is its customer's.
    actor: Actor | None = None


class Release(Struct, frozen=True, rename="camel"):
    """Stock that inventory was asked to give back, known by the ids of the messages around it: the one that
    made the order ask, and the one that answered. What comes again under its id counts once.
    """

    asked_by: str
    answered_by: str | None = None


class Capture(Struct, frozen=True, rename="camel"):
    """What the payment service took, whether or not it was what the order asked for."""

    transaction_id: str
    amount: int
    currency: str


class Order(Watched, frozen=True, kw_only=True):
    collection = "orders"

    customer_id: str
    email: str
    # What they would like to be written in, such as de-AT; None where they did not say.
    locale: str | None = None
    status: Status
    # When the status last changed, by the database's clock: what staleness counts from.
    state_since: datetime
    lines: tuple[Line, ...]
    currency: str
    total: int
    fulfilment: Fulfilment
    # Until it is handed on to the payment service; then nobody here needs it.
    payment_token: str | None = None
    cancellation_reason: CancellationReason | None = None
    cancellation_detail: str | None = None
    refund_reason: str | None = None
    capture: Capture | None = None
    releases: tuple[Release, ...] = ()
    refund: Progress = Progress.NONE
    history: tuple[HistoryEntry, ...] = ()
    created_at: datetime
    updated_at: datetime

    @property
    def standing(self) -> Standing:
        return Standing(self.id, self.status, (*self._notes(), *self.contradictions))

    def _notes(self) -> Iterator[str]:
        """Cheap for an order that goes well: it is asked for at every step of every order."""
        yield f"{money.to_decimal(self.total, self.currency)} {self.currency}"
        if self.cancellation_reason:
            detail = f": {self.cancellation_detail}" if self.cancellation_detail else ""
            yield f"{self.cancellation_reason}{detail}"
        elif self.fulfilment == "partial" and (
            refused := sum(line.state is LineState.REFUSED for line in self.lines)
        ):
            yield f"{refused} of {len(self.lines)} products are missing"
        if self.status in COMPENSATED and self.stock_compensation is not Progress.NONE:
            yield GIVING_BACK[self.stock_compensation].format("stock")
        if self.refund is not Progress.NONE:
            yield GIVING_BACK[self.refund].format("money")

    @property
    def releases_open(self) -> int:
        return sum(release.answered_by is None for release in self.releases)

    @property
    def stock_compensation(self) -> Progress:
        if self.releases_open:
            return Progress.PENDING
        given_back = any(line.state is LineState.RELEASED for line in self.lines)
        return Progress.DONE if self.releases or given_back else Progress.NONE

    @property
    def settled(self) -> bool:
        """Nothing more will happen by itself."""
        if self.status is Status.CANCELLED:
            return not self.releases_open and self.refund is not Progress.PENDING
        return self.status in {Status.PAID, Status.REFUNDED}
