"""The rules of a product's stock: it is created, restocked, adjusted, discontinued."""

from typing import ClassVar

from services.inventory.moves import MoveKind, Reason, StockMove
from services.inventory.stock import LARGEST, Stock
from services.shared.contract.audit import Action
from services.shared.contract.decisions import (
    Decision,
    Loaded,
    Message,
    NotFound,
    Refused,
    Stale,
    Verdict,
    audited,
)
from services.shared.contract.events import ProductCreated, ProductDeleted
from services.shared.contract.idempotency import Keyed


class Command(Keyed, frozen=True, kw_only=True):
    """What somebody says of a product's stock."""

    kind: ClassVar[MoveKind]
    product_id: str
    reason: Reason | None = None
    note: str = ""


class Restock(Command, frozen=True, kw_only=True):
    """So many pieces came in."""

    kind = MoveKind.RESTOCK
    quantity: int


class Adjust(Command, frozen=True, kw_only=True):
    """There are so many pieces more, or fewer, than was known."""

    kind = MoveKind.ADJUST
    delta: int
    reason: Reason


class SetAvailable(Command, frozen=True, kw_only=True):
    """So many pieces are there to be sold."""

    kind = MoveKind.SET
    available: int
    reason: Reason
    # Of the stock that the caller saw: one of these. None: whichever.
    revisions: tuple[int, ...] | None


def create(loaded: Loaded, _: Message, event: ProductCreated) -> Decision:
    stock = loaded.get(Stock, event.product_id) or Stock(id=event.product_id, created=False)
    if stock.created:
        return Decision(verdict=Verdict.DUPLICATE)
    return Decision(changed=(stock.created_with(event.initial_stock),))


def discontinue(loaded: Loaded, _: Message, event: ProductDeleted) -> Decision:
    stock = loaded.get(Stock, event.product_id) or Stock(id=event.product_id, created=False)
    if stock.discontinued:
        return Decision(verdict=Verdict.DUPLICATE)
    return Decision(changed=(stock.ended(),))


def carry_out(loaded: Loaded, message: Message, given: Command) -> Decision:
    """Carries it out, and keeps a move of it."""
    before = loaded.get(Stock, given.product_id)
    if before is None or not before.created:
        raise NotFound(f"there is no stock of product {given.product_id}")
    after = _after(before, given)
    changed = () if after is before else (after, _move(message, given, before, after))
    return _audited(Decision(changed=changed, reply=after), message, given, before, after)


def _after(stock: Stock, given: Command) -> Stock:
    """The stock as the command leaves it. Raises Refused where that cannot be."""
    match given:
        case Restock():
            if stock.discontinued:
                raise Refused("the product is discontinued: there is no selling it any more")
            after = stock.restocked_by(given.quantity)
        case Adjust():
            after = stock.adjusted_by(given.delta)
        case SetAvailable():
            if given.revisions is not None and stock.revision not in given.revisions:
                said = "the stock has changed since: read it again, and send its ETag"
                raise Stale(said, **_present(stock))
            if given.available == stock.available:
                return stock
            after = stock.adjusted_by(given.available - stock.available)
        case _:
            raise TypeError(given)
    if after.available < 0:
        raise Refused(
            f"{stock.available} pieces can be taken away: cancel orders first that hold the others",
            **_present(stock),
        )
    if after.came > LARGEST:
        raise Refused(f"one product can have {LARGEST} pieces at most")
    return after


def _present(stock: Stock) -> dict[str, object]:
    return {"available": stock.available, "reserved": stock.reserved, "revision": stock.revision}


def _move(message: Message, given: Command, before: Stock, after: Stock) -> StockMove:
    return StockMove(
        id=message.id,
        product_id=after.id,
        kind=given.kind,
        delta=after.available - before.available,
        reason=given.reason,
        note=given.note,
        by=message.by.actor.id if message.by else "",
        at=message.at,
        revision=after.revision,
    )


def _audited(decision: Decision, message: Message, given: Command, before: Stock, after: Stock) -> Decision:
    delta = after.available - before.available
    if not delta:
        return decision
    if isinstance(given, Restock):
        return audited(decision, message, Action.RESTOCKED, after.id, detail=f"{delta} pieces")
    detail = f"{delta:+} pieces"
    return audited(decision, message, Action.STOCK_ADJUSTED, after.id, reason=given.reason, detail=detail)
