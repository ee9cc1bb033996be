"""What an order is. Amounts are integer minor units of its currency."""

from collections.abc import Iterator
from datetime import datetime
from enum import StrEnum
from typing import Final

from msgspec import Struct, field

from services.shared.contract import money
from services.shared.contract.audit import Actor
from services.shared.contract.decisions import Standing
from services.shared.contract.events import Fulfilment, NextAction
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
    """How far a compensation is: the return of stock, or the refund of money."""

    NONE = "none"
    PENDING = "pending"
    DONE = "done"


GIVING_BACK: Final = {Progress.PENDING: "{} is to be given back", Progress.DONE: "{} is given back"}


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
    # The refund that it is about.
    refund: str | None = None
    # Who asked for it; None for what messages cause, and for the order itself, which is its customer's.
    actor: Actor | None = None


class Release(Struct, frozen=True, rename="camel"):
    """Stock that inventory was asked to give back, known by the ids of the messages around it: the one that
    made the order ask, and the one that answered. What comes again under its id counts once.
    """

    asked_by: str
    answered_by: str | None = None


# Of money and goods. How the payment service gets the money back is its own `RefundState`.
class RefundState(StrEnum):
    ASKED = "ASKED"
    # By the gateway, which is asked again without end.
    REFUSED = "REFUSED"
    # The goods are still to come back.
    MONEY_BACK = "MONEY_BACK"
    DONE = "DONE"


MONEY_IS_BACK: Final = (RefundState.MONEY_BACK, RefundState.DONE)


class Restocking(StrEnum):
    """Whether refunded goods return to stock."""

    # They can be sold again.
    RETURN = "return"
    # They stay with the customer, or are not fit to be sold.
    NONE = "none"


class RefundLine(Struct, frozen=True, rename="camel", omit_defaults=True):
    """So many pieces of a line."""

    product_id: str
    quantity: int
    restock: Restocking = Restocking.RETURN


class Refund(Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """Money on its way back to the customer, and the goods that come back for it. In minor units."""

    # By which all services know it. The order's own id: all that was captured, which messages do not name.
    id: str
    # None where an order is cancelled: nothing of it was sold.
    lines: tuple[RefundLine, ...] = ()
    amount: int
    state: RefundState = RefundState.ASKED
    # Why it is asked for.
    reason: str = ""
    # A hash of the request: asked for again under its id, it is the same.
    request: str = ""
    # Why the gateway refuses it, in its words.
    refusal: str = ""
    # By which attempt of the payment service it was made: of those before, it may hear later.
    attempt: int = 0
    # By what it was paid back where the gateway never gave way: a transfer's reference.
    outside: str = ""

    @property
    def goods(self) -> tuple[RefundLine, ...]:
        """What comes back to be sold again."""
        return tuple(line for line in self.lines if line.restock is Restocking.RETURN)

    @property
    def is_open(self) -> bool:
        """The customer's money is not back."""
        return self.state not in MONEY_IS_BACK


class ShippedLine(Struct, frozen=True, rename="camel"):
    """So many pieces of a line that may be sent to the customer."""

    product_id: str
    quantity: int


class Capture(Struct, frozen=True, rename="camel"):
    """What the payment service took, whether or not it was what the order asked for."""

    transaction_id: str
    amount: int
    currency: str


class PendingPayment(Struct, frozen=True, rename="camel", omit_defaults=True):
    """What the payment gateway decides on later."""

    transaction_id: str
    next_action: NextAction | None = None


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
    # While the payment gateway decides; then the customer has nothing to do there any more.
    pending_payment: PendingPayment | None = None
    # Until when its stock is held for that: before, it is not stale.
    reserved_until: datetime | None = None
    cancellation_reason: CancellationReason | None = None
    cancellation_detail: str | None = None
    refund_reason: str | None = None
    capture: Capture | None = None
    releases: tuple[Release, ...] = ()
    # What the fulfilment service may send, once it has asked: all that nobody had asked back by then.
    shipped: tuple[ShippedLine, ...] = ()
    # Of all refunds together: older releases know no more.
    refund: Progress = Progress.NONE
    refunds: tuple[Refund, ...] = ()
    history: tuple[HistoryEntry, ...] = ()
    created_at: datetime
    updated_at: datetime

    @property
    def waits_since(self) -> datetime:
        """From when on it is stale: it may take its time until then."""
        return max(self.state_since, self.reserved_until or self.state_since)

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
        if self.pending_payment is not None:
            yield "the payment gateway decides later"
        if self.status in COMPENSATED and self.stock_compensation is not Progress.NONE:
            yield GIVING_BACK[self.stock_compensation].format("its stock")
        if self.refund is not Progress.NONE:
            whose = "some of its money" if self.status is Status.PAID else "its money"
            yield GIVING_BACK[self.refund].format(whose)
        for refund in self.refunds:
            if refund.state is RefundState.REFUSED:
                yield f"the payment gateway refuses refund {refund.id}: {refund.refusal}"

    @property
    def given_back(self) -> tuple[Refund, ...]:
        """Its refunds. An older document says only that all goes back, and how far that is."""
        if self.refunds or self.refund is Progress.NONE:
            return self.refunds
        if self.refund is Progress.PENDING:
            state = RefundState.ASKED
        else:
            state = RefundState.MONEY_BACK if self.status is Status.REFUNDING else RefundState.DONE
        served = () if self.status is Status.CANCELLED else self.served
        lines = tuple(RefundLine(line.product_id, line.quantity) for line in served)
        amount = self.capture.amount if self.capture else self.total
        return (Refund(id=self.id, lines=lines, amount=amount, state=state, reason=self.refund_reason or ""),)

    @property
    def refund_currency(self) -> str:
        """That of what was captured, which is what is given back."""
        return self.capture.currency if self.capture else self.currency

    def refund_named(self, id_: str | None) -> Refund | None:
        return next((refund for refund in self.given_back if refund.id == id_), None)

    @property
    def served(self) -> tuple[Line, ...]:
        """The lines that are not refused."""
        return tuple(line for line in self.lines if line.state is not LineState.REFUSED)

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
        if self.status is Status.PAID:
            return all(refund.state is RefundState.DONE for refund in self.refunds)
        return self.status is Status.REFUNDED
