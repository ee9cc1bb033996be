"""What must hold once everything has come to rest, order by order: sums hide errors that offset each other.

Pure: documents in, findings out. A finding names an invariant, whom it is about, and what is wrong.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Final, NamedTuple

from msgspec import structs

from services.fulfilment.shipment import GONE, Shipment, ShipmentState
from services.inventory.reservation import LineState, Reservation
from services.inventory.stock import Stock
from services.notification.domain import Notification
from services.order.model import Order, Progress, RefundState, Status
from services.order.refunds import amount_of, left, pieces, returned
from services.order.saga import replay
from services.payment.gateway import Status as GatewayStatus
from services.payment.ledger import LedgerEntry
from services.payment.payment import ENDS, PAID, UNDECIDED, Payment, PaymentState
from services.payment.payment import RefundState as PaidBack
from services.shared.database.store import Unreadable


class Invariant(StrEnum):
    DRAINED = "drained"
    STOCK_CONSERVED = "I1"
    STOCK_OWNED = "I2"
    MONEY_AGREES = "I3"
    SAGA_ENDED = "I4"
    EXPLAINED = "I5"
    REMEMBERED = "I6"

    @property
    def label(self) -> str:
        """Number and name, such as `I3 MONEY_AGREES`."""
        return self.name if self is Invariant.DRAINED else f"{self} {self.name}"

    @classmethod
    def named(cls, text: str) -> "Invariant":
        """By name or number. Raises ValueError for neither."""
        return cls[text] if text in cls.__members__ else cls(text)


TITLES: Final = {
    Invariant.DRAINED: "queues, outboxes and captures have come to rest",
    Invariant.STOCK_CONSERVED: "no piece of stock was made or lost",
    Invariant.STOCK_OWNED: "what is reserved, sold or sent is some order's",
    Invariant.MONEY_AGREES: "our payments are the gateway's, and no money is kept for nothing",
    Invariant.SAGA_ENDED: "every order exists, is settled, and got there by the table",
    Invariant.EXPLAINED: "every dead letter, contradiction and unreadable document is an expected one",
    Invariant.REMEMBERED: "no message has had its effect twice, and no outbox row is nobody's",
}
NOT_KEPT: Final = frozenset({Status.CANCELLED, Status.REFUNDED})
SOLD: Final = frozenset({Status.PAID, Status.REFUNDING, Status.REFUNDED})
# Their lines have all been answered, and the total is what was to be paid for those that were not refused.
PRICED: Final = frozenset({Status.CONFIRMED, Status.PAID, Status.REFUNDING, Status.REFUNDED})


class Finding(NamedTuple):
    invariant: Invariant
    subject: str
    what: str
    # True of what may be right once the messages on their way have arrived; false of what no message cures.
    waiting: bool = False


class Case(NamedTuple):
    """All that the services know about one order."""

    id: str
    order: Order | None
    reservation: Reservation | None
    payment: Payment | None
    ledger: Sequence[LedgerEntry]
    notifications: Sequence[Notification]
    # In a shop with a fulfilment service.
    shipment: Shipment | None = None
    # What of it is there, and not among the above.
    unreadable: tuple[Unreadable, ...] = ()

    @property
    def is_ordered(self) -> bool:
        """Whether the order service has it, readable or not."""
        return self.order is not None or any(each.collection == Order.collection for each in self.unreadable)


class Held(NamedTuple):
    """What reservations hold of each product, and have sold."""

    held: Counter[str]
    sold: Counter[str]


def check_case(case: Case, ships_since: datetime | None = None) -> Iterator[Finding]:
    """STOCK_OWNED, MONEY_AGREES, SAGA_ENDED and REMEMBERED of one order, and refunds that are refused.

    Of one that cannot be read whole only that is said: what is missing may be what the others go by.

    `ships_since`: since when fulfilment hears of orders; None where it does not, or has heard of none.
    """
    if case.unreadable:
        yield from cannot_be_read(case.id, case.unreadable)
        return
    yield from _memory(case)
    yield from _reservation(case)
    yield from _shipped(case)
    yield from _shipment(case)
    if ships_since is not None:
        yield from _heard_of(case, ships_since)
    yield from _money(case)
    yield from _saga(case)
    yield from _refused(case)


def cannot_be_read(subject: str, documents: Iterable[Unreadable]) -> Iterator[Finding]:
    """EXPLAINED: nobody can say whether it agrees with the other books."""
    for document in documents:
        what = f"{document}; a newer release wrote it, or somebody changed it by hand"
        yield Finding(Invariant.EXPLAINED, subject, what)


def check_stock(stock: Stock, held: Held) -> Iterator[Finding]:
    """STOCK_CONSERVED, and the product's side of STOCK_OWNED."""
    there = stock.available + stock.reserved + stock.sold
    came = stock.came
    if there != came:
        yield Finding(Invariant.STOCK_CONSERVED, stock.id, f"{there} pieces are there, but {came} came")
    if min(stock.available, stock.reserved, stock.sold) < 0:
        yield Finding(Invariant.STOCK_CONSERVED, stock.id, "a counter is negative")
    for name, counted, lines in (
        ("reserved", stock.reserved, held.held[stock.id]),
        ("sold", stock.sold, held.sold[stock.id]),
    ):
        if counted != lines:
            yield Finding(
                Invariant.STOCK_OWNED, stock.id, f"{counted} {name}, but the reservations say {lines}"
            )


def without_stock(held: Held) -> Iterator[Finding]:
    """STOCK_OWNED of the products that are left over, because they have no stock of their own."""
    for product_id in sorted((held.held + held.sold).keys()):
        yield Finding(Invariant.STOCK_OWNED, product_id, "reservations keep some of it, and it has no stock")


def unstocked(products: Iterable[str], stocked: Collection[str]) -> Iterator[Finding]:
    """STOCK_CONSERVED of the catalogue: each product's first pieces are in a stock row of its own."""
    for product_id in products:
        if product_id not in stocked:
            what = "is in the catalogue, and has no stock row"
            yield Finding(Invariant.STOCK_CONSERVED, product_id, what, waiting=True)


def tally(reservations: Iterable[Reservation], into: Held) -> None:
    """Adds up what they hold and have sold."""
    for reservation in reservations:
        for line in reservation.lines:
            if line.state is LineState.HELD:
                into.held[line.product_id] += line.left
            elif line.state is LineState.SOLD:
                into.sold[line.product_id] += line.left


def _kept(reservation: Reservation | None, state: LineState) -> dict[str, int]:
    lines = reservation.lines if reservation else ()
    return {line.product_id: line.left for line in lines if line.state is state}


def _reservation(case: Case) -> Iterator[Finding]:
    held, sold = _kept(case.reservation, LineState.HELD), _kept(case.reservation, LineState.SOLD)
    if case.order is None:
        if held or sold:
            yield Finding(Invariant.STOCK_OWNED, case.id, "stock is kept for an order that does not exist")
        return
    if case.order.status in SOLD:
        yield from _sold(case.order, Counter(held), Counter(sold))
    elif case.order.status is Status.CANCELLED and (held or sold):
        what = f"{case.order.status}, but stock is kept: {_pieces(held | sold)}"
        yield Finding(Invariant.STOCK_OWNED, case.id, what, waiting=True)


def _sold(order: Order, held: Counter[str], sold: Counter[str]) -> Iterator[Finding]:
    """Sold is what was served and did not come back. What is on its way back may have come back by now."""
    served = Counter({line.product_id: line.quantity for line in order.served})
    most = served - returned(order)
    least = most - pieces(order.given_back, RefundState.MONEY_BACK, goods=True)
    if held or not least <= sold <= most:
        paid = f"paid for {_pieces(served)}; came back: {_pieces(returned(order))}"
        what = f"{paid}; sold: {_pieces(sold)}; still reserved: {_pieces(held)}"
        waiting = least <= held + sold <= most or (order.status is Status.REFUNDED and sold >= most)
        yield Finding(Invariant.STOCK_OWNED, order.id, what, waiting=waiting)


def _shipped(case: Case) -> Iterator[Finding]:
    """What is sent is what the order has let go: nothing that it had not, and all of it."""
    approved = {line.product_id: line.quantity for line in case.order.shipped} if case.order else {}
    state = case.shipment.state if case.shipment else None
    if state is ShipmentState.SHIPPING:
        what = "the order is still to say whether its goods may go"
        yield Finding(Invariant.STOCK_OWNED, case.id, what, waiting=True)
        return
    sent = {each.product_id: each.quantity for each in case.shipment.products} if case.shipment else {}
    if state not in GONE:
        sent = {}
    if sent != approved:
        what = f"sent: {_pieces(sent)}, but the order let go: {_pieces(approved)}"
        yield Finding(Invariant.STOCK_OWNED, case.id, what)


def _shipment(case: Case) -> Iterator[Finding]:
    """Only what was paid for is to be sent. What of that may still go is the order's to say."""
    order, shipment = case.order, case.shipment
    if order is not None and order.status in SOLD:
        yield from _paid_for(order, shipment)
    elif shipment is not None and shipment.state is not ShipmentState.CANCELLED:
        whose = f"of an order that is {order.status}" if order else "of an order that does not exist"
        what = f"its shipment is {shipment.state}, {whose}"
        yield Finding(Invariant.STOCK_OWNED, case.id, what)


def _paid_for(order: Order, shipment: Shipment | None) -> Iterator[Finding]:
    """Of an order that was paid."""
    served = Counter({line.product_id: line.quantity for line in order.served})
    may_go = Counter({line.product_id: line.quantity for line in order.shipped})
    # What nobody has asked back to this day nobody had asked back then.
    if may_go and not left(order) <= may_go <= served:
        what = f"the order let go: {_pieces(may_go)}, but paid for was: {_pieces(served)}"
        yield Finding(Invariant.STOCK_OWNED, order.id, what)
    if shipment is None:
        return
    ready = Counter({goods.product_id: goods.quantity for goods in shipment.products})
    if shipment.state in {ShipmentState.READY, ShipmentState.SHIPPING} and ready != served:
        what = f"to be sent: {_pieces(ready)}, but paid for was: {_pieces(served)}"
        yield Finding(Invariant.STOCK_OWNED, order.id, what)
    if shipment.state is ShipmentState.CANCELLED and order.status is Status.PAID and not may_go:
        what = "PAID, but its shipment is CANCELLED, as if all of it were asked back"
        yield Finding(Invariant.STOCK_OWNED, order.id, what)


def _heard_of(case: Case, ships_since: datetime) -> Iterator[Finding]:
    """Fulfilment knows every order that was paid since it hears of such, and that it is refunded."""
    order = case.order
    if order is None or order.status not in SOLD:
        return
    if case.shipment is None:
        paid_at = next((step.at for step in order.history if step.to is Status.PAID), None)
        if paid_at is not None and paid_at >= ships_since:
            what = f"{order.status}, but fulfilment knows nothing of it: it has no shipment"
            yield Finding(Invariant.STOCK_OWNED, case.id, what, waiting=True)
    elif case.shipment.state is ShipmentState.READY and order.status is Status.REFUNDED:
        what = "REFUNDED, but its shipment is READY"
        yield Finding(Invariant.STOCK_OWNED, case.id, what, waiting=True)


def _pieces(quantities: Mapping[str, int]) -> str:
    return ", ".join(f"{quantity} of {product}" for product, quantity in quantities.items()) or "nothing"


def _money(case: Case) -> Iterator[Finding]:
    captures = [entry for entry in case.ledger if entry.status is GatewayStatus.CAPTURED]
    refunds = [entry for entry in case.ledger if entry.status is GatewayStatus.REFUNDED]
    if len(captures) > 1:
        yield Finding(Invariant.MONEY_AGREES, case.id, f"the gateway made {len(captures)} captures")
    taken, given_back = (sum(entry.amount for entry in entries) for entries in (captures, refunds))
    if given_back > taken:
        what = f"the gateway gave back {given_back}, and took {taken} (minor units)"
        yield Finding(Invariant.MONEY_AGREES, case.id, what)
    if case.payment is None and case.ledger:
        yield Finding(Invariant.MONEY_AGREES, case.id, "the gateway knows a payment that we do not")
    if case.payment is not None:
        yield from _books_agree(case.payment, captures, refunds)
        yield from _still_open(case.payment, case.ledger)
    if case.order is not None:
        yield from _money_of_order(case.order, captures, refunds)
        yield from _parts(case.order)


def _still_open(payment: Payment, ledger: Sequence[LedgerEntry]) -> Iterator[Finding]:
    """Once a payment has ended the gateway holds no money for it, and takes none."""
    open_ = {GatewayStatus.PENDING, GatewayStatus.AUTHORIZED}
    if payment.state in ENDS and any(entry.status in open_ for entry in ledger):
        what = f"its payment is {payment.state}, but the gateway may yet take money"
        yield Finding(Invariant.MONEY_AGREES, payment.id, what)


def _books_agree(
    payment: Payment, captures: Sequence[LedgerEntry], refunds: Sequence[LedgerEntry]
) -> Iterator[Finding]:
    # The gateway is not asked for nothing; older releases did.
    captures, refunds = ([entry for entry in each if entry.amount] for each in (captures, refunds))
    back = [each for each in payment.given_back if each.state is PaidBack.REFUNDED and each.amount]
    done = {each.refund_id: each for each in back}
    expected = (int(payment.state in PAID and payment.amount > 0), len(done))
    if payment.stage in {*UNDECIDED, PaymentState.REFUNDING}:
        yield Finding(
            Invariant.MONEY_AGREES, payment.id, f"its payment is still {payment.stage}", waiting=True
        )
    elif expected != (len(captures), len(refunds)):
        found = f"{_times(len(captures))} and gave back {_times(len(refunds))}"
        what = f"its payment is {payment.state}, but the gateway took money {found}"
        yield Finding(Invariant.MONEY_AGREES, payment.id, what)
    ours = [(entry, payment.amount) for entry in captures]
    ours += [(entry, done[entry.transaction_id].amount) for entry in refunds if entry.transaction_id in done]
    for entry, amount in ours:
        if (entry.amount, entry.currency) != (amount, payment.currency):
            theirs = f"{entry.amount} {entry.currency}"
            yield Finding(
                Invariant.MONEY_AGREES,
                payment.id,
                f"{entry.kind} of {theirs} there, {amount} {payment.currency} here (minor units)",
            )


def _money_of_order(
    order: Order, captures: Sequence[LedgerEntry], refunds: Sequence[LedgerEntry]
) -> Iterator[Finding]:
    served = sum(line.price * line.quantity for line in order.served)
    if order.status in PRICED and order.total != served:
        what = f"the total is {order.total}, but its served lines cost {served} (minor units)"
        yield Finding(Invariant.MONEY_AGREES, order.id, what)
    taken = sum(entry.amount for entry in captures)
    back = sum(entry.amount for entry in refunds)
    outside = sum(refund.amount for refund in order.given_back if refund.outside)
    if order.status is Status.PAID:
        currencies = {entry.currency for entry in captures}
        # What is asked for may have been given back by now.
        least = sum(each.amount for each in order.given_back if not (each.is_open or each.outside))
        most = least + sum(each.amount for each in order.given_back if each.is_open)
        if (taken, currencies) != (order.total, {order.currency}) or not least <= back <= most:
            what = f"PAID {order.total} {order.currency}, but {taken} was taken and {back} given back"
            yield Finding(Invariant.MONEY_AGREES, order.id, f"{what} (minor units)")
    elif order.status in NOT_KEPT and taken != back + outside:
        kept = taken - back - outside
        what = f"{order.status}, but {kept} of the customer's money is kept (minor units)"
        yield Finding(Invariant.MONEY_AGREES, order.id, what, waiting=kept > 0)


def _parts(order: Order) -> Iterator[Finding]:
    """Each refund is of what its pieces cost, beside those that were asked for before."""
    for number, refund in enumerate(order.refunds):
        before = structs.replace(order, refunds=order.refunds[:number], refund=Progress.NONE)
        if refund.lines and refund.amount != (worth := amount_of(before, refund.lines)):
            what = f"refund {refund.id} is of {refund.amount}, but its pieces cost {worth} (minor units)"
            yield Finding(Invariant.MONEY_AGREES, order.id, what)


def _saga(case: Case) -> Iterator[Finding]:
    order = case.order
    if order is None:
        return
    if not order.settled:
        what = f"{order.status} since {order.state_since:%Y-%m-%d %H:%M:%S}, and not settled"
        yield Finding(Invariant.SAGA_ENDED, case.id, what, waiting=True)
    try:
        end = replay(order.history)
    except ValueError as error:
        yield Finding(Invariant.SAGA_ENDED, case.id, f"its history cannot have happened: {error}")
    else:
        if end is not order.status:
            yield Finding(Invariant.SAGA_ENDED, case.id, f"{order.status}, but its history ends {end}")
    yield from _told(case, order)


def _told(case: Case, order: Order) -> Iterator[Finding]:
    """Exactly one end was published; a refund only of what was paid, and each that is done."""
    if not order.settled:
        return
    told = Counter(notification.kind for notification in case.notifications)
    cancelled, refunded = order.status is Status.CANCELLED, order.status is Status.REFUNDED
    done = sum(refund.state is RefundState.DONE for refund in order.given_back)
    wanted = {
        "ORDER_PAID": int(not cancelled),
        "ORDER_CANCELLED": int(cancelled),
        "ORDER_PARTIALLY_REFUNDED": 0 if cancelled else done - refunded,
        "ORDER_REFUNDED": int(refunded),
        "ORDER_SHIPPED": int(case.shipment is not None and case.shipment.state in GONE),
        "ORDER_DELIVERED": int(case.shipment is not None and case.shipment.state is ShipmentState.DELIVERED),
    }
    for kind, often in wanted.items():
        if told[kind] != often:
            what = f"{order.status}, but {kind} was published {_times(told[kind])}"
            yield Finding(Invariant.SAGA_ENDED, case.id, what, waiting=told[kind] < often)


def _times(number: int) -> str:
    return {0: "never", 1: "once"}.get(number, f"{number} times")


def _refused(case: Case) -> Iterator[Finding]:
    """EXPLAINED: the gateway is asked again, and whoever is on call is to know why."""
    for refund in case.order.given_back if case.order else ():
        if refund.state is RefundState.REFUSED:
            what = f"the gateway refuses refund {refund.id}: {refund.refusal}"
            yield Finding(Invariant.EXPLAINED, case.id, what, waiting=True)


def _memory(case: Case) -> Iterator[Finding]:
    """Whoever handles a message twice remembers it twice."""
    for home in (case.order, case.reservation, case.payment, case.shipment):
        if home is not None and len(set(home.seen)) < len(home.seen):
            name = type(home).__name__.lower()
            yield Finding(Invariant.REMEMBERED, case.id, f"its {name} has handled a message twice")


def contradictions(case: Case) -> Iterator[Finding]:
    """EXPLAINED: what services marked for a human to look at."""
    for watched in (case.order, case.reservation, case.payment, case.shipment):
        for each in watched.attention if watched else ():
            yield Finding(Invariant.EXPLAINED, case.id, f"{each.event}: {each.reason}")
