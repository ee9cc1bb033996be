"""The rules of inventory: requests are granted or refused, and answered from the ledger alone.

An answer is read off the lines as they are afterwards. Therefore a request that comes again, under whatever
id, changes nothing and gets the answer it got.
"""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final, NamedTuple

from msgspec import structs

from services.inventory import products
from services.inventory.moves import StockMove
from services.inventory.products import Adjust, Command, Restock, SetAvailable
from services.inventory.reservation import LineState, Reservation, ReservedLine, Return
from services.inventory.steps import REFUND, Ask
from services.inventory.stock import Stock
from services.inventory.table import LineStep, step
from services.shared.contract.decisions import (
    Decision,
    Domain,
    Loaded,
    Message,
    Premature,
    Ref,
    Verdict,
)
from services.shared.contract.events import (
    Event,
    Line,
    Missing,
    OrderEvent,
    OrderPaid,
    PaymentFailed,
    ProductCreated,
    ProductDeleted,
    ReleaseStock,
    ReserveStock,
    StockReleased,
    StockReserved,
    StockUnavailable,
)
from services.shared.contract.idempotency import once
from services.shared.contract.table import marked

PAYMENT_FAILED: Final = "PAYMENT_FAILED"
# Why a line is given back that was held when the rest of its order was refused.
REFUSED_WITH_THE_ORDER: Final = "REFUSED_WITH_THE_ORDER"


def home(message: Message) -> Ref:
    """The order's reservation; the stock of what is about a product."""
    match message.body:
        case ProductCreated(product_id=product_id) | ProductDeleted(product_id=product_id):
            return Ref(Stock, product_id)
        case Command(product_id=product_id):
            return Ref(Stock, product_id)
        case body:
            return Ref(Reservation, body.order_id)  # type: ignore[attr-defined]  # all others are about orders


def reads(message: Message, loaded: Loaded) -> Iterable[Ref]:
    """The stock of the reservation's lines, as far as they are known by now."""
    match message.body:
        case ReserveStock(products=products) | OrderPaid(products=products):
            yield from (Ref(Stock, line.product_id) for line in products)
        case ReleaseStock(order_id=order_id) | PaymentFailed(order_id=order_id):
            reservation = loaded.get(Reservation, order_id)
            for line in reservation.lines if reservation else ():
                yield Ref(Stock, line.product_id)
        case Command():
            yield Ref(StockMove, message.id)


class _Change(NamedTuple):
    """One message's effect on a reservation, line by line."""

    before: Reservation
    after: Reservation
    steps: tuple[LineStep, ...]

    @property
    def lines(self) -> tuple[ReservedLine, ...]:
        return tuple(step.line for step in self.steps)

    @property
    def is_odd(self) -> bool:
        return any(step.contradictions for step in self.steps)


def _reserve(loaded: Loaded, message: Message, event: ReserveStock) -> Decision:
    before = _reservation(loaded, event)
    change = _change(before, before, _asks(loaded, message, event, before), message)
    return _decision(loaded, change, message, reserve_answer(event, change.lines))


def _asks(loaded: Loaded, message: Message, event: ReserveStock, before: Reservation) -> Iterable[Ask]:
    """What is granted is decided over all lines of the request, and once: while one of them is new."""
    lines = {line.product_id: before.line(line.product_id) for line in event.products}
    new = {product_id for product_id, line in lines.items() if line is None}
    on_offer = {product_id: _on_offer(loaded, message, product_id) for product_id in new}
    can_be_had = {
        wanted.product_id
        for wanted in event.products
        if _can_be_had(lines[wanted.product_id], wanted, on_offer.get(wanted.product_id, 0))
    }
    if event.fulfilment == "all" and len(can_be_had) < len(lines):
        can_be_had = set()
    for wanted in event.products:
        yield Ask(
            ReserveStock,
            wanted.product_id,
            wanted.quantity,
            reason=REFUSED_WITH_THE_ORDER,
            granted=not new or wanted.product_id in can_be_had,
            available=on_offer.get(wanted.product_id, 0),
        )


def _can_be_had(line: ReservedLine | None, wanted: Line, on_offer: int) -> bool:
    return wanted.quantity <= on_offer if line is None else line.is_kept


def _on_offer(loaded: Loaded, message: Message, product_id: str) -> int:
    stock = loaded.get(Stock, product_id)
    if stock is None and not message.last_try:
        raise Premature(f"product {product_id} is not known yet")
    return stock.on_offer if stock else 0


def reserve_answer(event: ReserveStock, lines: tuple[ReservedLine, ...]) -> StockReserved | StockUnavailable:
    """What the request is answered: read off its `lines`, in its order, as they are afterwards."""
    kept = tuple(Line(line.product_id, line.quantity) for line in lines if line.is_kept)
    missing = tuple(
        Missing(line.product_id, line.quantity or wanted.quantity, line.available)
        for wanted, line in zip(event.products, lines, strict=True)
        if not line.is_kept
    )
    if kept and (event.fulfilment == "partial" or not missing):
        return StockReserved(order_id=event.order_id, products=kept, missing=missing)
    return StockUnavailable(
        order_id=event.order_id,
        # What was there, but refused for the sake of the others, is not missing.
        missing=tuple(each for each in missing if each.available < each.requested),
        reason=_why_unavailable(lines),
        product_id=event.product_id,
    )


def _why_unavailable(lines: tuple[ReservedLine, ...]) -> str:
    short = next((line for line in lines if line.is_short), None)
    if short is not None:
        return f"Insufficient stock. Available: {short.available}, Requested: {short.quantity}"
    if any(line.state is LineState.RELEASED for line in lines):
        return "Released before it was reserved"
    return "Refused with the rest of its order"


def _release(loaded: Loaded, message: Message, event: ReleaseStock) -> Decision:
    if event.products and event.refund_request_id is not None:
        return _return(loaded, message, event, event.refund_request_id)
    return _give_back(loaded, message, event, event.reason, event.product_id)


def _compensate(loaded: Loaded, message: Message, event: PaymentFailed) -> Decision:
    return _give_back(loaded, message, event, PAYMENT_FAILED, None)


def _give_back(
    loaded: Loaded, message: Message, event: OrderEvent, reason: str, product_id: str | None
) -> Decision:
    before = _reservation(loaded, event)
    released = before if product_id else structs.replace(before, tombstone=before.tombstone or reason)
    products = [product_id] if product_id else [line.product_id for line in before.lines]
    asks = [Ask(type(event), each, reason=reason) for each in products]
    change = _change(before, released, asks, message)
    given_back = tuple(Line(line.product_id, line.quantity) for line in change.lines if line.is_given_back)
    if not given_back and change.is_odd:
        return _decision(loaded, change, message)  # nothing that was asked for was done
    return _decision(loaded, change, message, StockReleased(order_id=event.order_id, products=given_back))


def _return(loaded: Loaded, message: Message, event: ReleaseStock, id_: str) -> Decision:
    """Some pieces of some lines, once for a refund: all that it names, or nothing."""
    before = _reservation(loaded, event)
    if (known := before.returned_by(id_)) is not None:
        return Decision(events=(_returned(event.order_id, known),), verdict=Verdict.DUPLICATE)
    asks = [
        Ask(ReleaseStock, line.product_id, reason=REFUND, pieces=line.quantity) for line in event.products
    ]
    new = Return(id_, event.products)
    change = _change(before, structs.replace(before, returns=(*before.returns, new)), asks, message)
    if change.is_odd:
        kept = structs.replace(change.after, lines=before.lines, returns=before.returns)
        nothing_moves = tuple(each._replace(move=None) for each in change.steps)
        return _decision(loaded, _Change(before, kept, nothing_moves), message)
    return _decision(loaded, change, message, _returned(event.order_id, new))


def _returned(order_id: str, what: Return) -> StockReleased:
    return StockReleased(order_id=order_id, products=what.lines, refund_request_id=what.refund_request_id)


def _sell(loaded: Loaded, message: Message, event: OrderPaid) -> Decision:
    before = _reservation(loaded, event)
    asks = [Ask(OrderPaid, line.product_id, line.quantity) for line in event.products]
    return _decision(loaded, _change(before, before, asks, message), message)


def _reservation(loaded: Loaded, event: OrderEvent) -> Reservation:
    return loaded.get(Reservation, event.order_id) or Reservation(id=event.order_id)


def _change(before: Reservation, now: Reservation, asks: Iterable[Ask], message: Message) -> _Change:
    """What the asks make of the lines of `now`, which is `before`, or already has the tombstone."""
    steps = tuple(step(now.line(ask.product_id), ask) for ask in asks)
    lines = {line.product_id: line for line in now.lines}
    lines.update((each.line.product_id, each.line) for each in steps)
    after = structs.replace(now, lines=tuple(lines.values()))
    event: str = message.body.type  # type: ignore[attr-defined]  # an event
    reasons = [reason for each in steps for reason in each.contradictions]
    return _Change(before, marked(after, message, event, reasons), steps)


def _decision(loaded: Loaded, change: _Change, message: Message, answer: Event | None = None) -> Decision:
    events = () if answer is None else (answer,)
    if change.after == change.before:
        return Decision(events=events, verdict=Verdict.DUPLICATE)
    after = structs.replace(change.after, updated_at=message.at)
    stocks = (_moved(loaded, each) for each in change.steps)
    return Decision(
        changed=(after, *(stock for stock in stocks if stock is not None)),
        events=events,
        verdict=Verdict.ATTENTION if change.is_odd else Verdict.APPLIED,
    )


def _moved(loaded: Loaded, step: LineStep) -> Stock | None:
    if step.move is None:
        return None
    stock = loaded.get(Stock, step.line.product_id)
    assert stock is not None  # noqa: S101  # a line can be held of known products only
    return stock.moved(step.move, step.pieces)


RULES: Final[dict[type, Callable[[Loaded, Message, Any], Decision]]] = {
    ReserveStock: _reserve,
    ReleaseStock: _release,
    PaymentFailed: _compensate,
    OrderPaid: _sell,
    ProductCreated: products.create,
    ProductDeleted: products.discontinue,
    Restock: products.carry_out,
    Adjust: products.carry_out,
    SetAvailable: products.carry_out,
}


def decide(loaded: Loaded, message: Message, *, auto_compensation: bool) -> Decision:
    body = message.body
    if isinstance(body, PaymentFailed) and not (auto_compensation or body.compensation):
        return Decision()  # the order asks for the release itself
    return RULES[type(body)](loaded, message, body)


def domain(*, auto_compensation: bool) -> Domain:
    """`auto_compensation`: a failed payment releases the stock, ahead of the order's own request."""
    return once(Domain(home=home, reads=reads, decide=partial(decide, auto_compensation=auto_compensation)))
