"""The rules of a product's stock: it is created, restocked, adjusted, discontinued."""

from typing import NamedTuple, TypeAlias

from msgspec import Struct

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
from services.shared.contract.idempotency import IdempotencyKey, earlier_subject, request_hash


class Restock(Struct, frozen=True, kw_only=True):
    """A command: so many pieces came in. `idempotency_key` is a `key_id`."""

    product_id: str
    quantity: int
    idempotency_key: str | None = None


class Adjust(Struct, frozen=True, kw_only=True):
    """A command: there are so many pieces more, or fewer, than was known. `idempotency_key` is a `key_id`."""

    product_id: str
    delta: int
    reason: Reason
    note: str = ""
    idempotency_key: str | None = None


class SetAvailable(Struct, frozen=True, kw_only=True):
    """A command: so many pieces are there to be sold. `idempotency_key` is a `key_id`."""

    product_id: str
    available: int
    reason: Reason
    note: str = ""
    # Of the stock that the caller saw: one of these. None: whichever.
    revisions: tuple[int, ...] | None
    idempotency_key: str | None = None


Command: TypeAlias = Restock | Adjust | SetAvailable


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


def restock(loaded: Loaded, message: Message, command: Restock) -> Decision:
    request = request_hash([command.product_id, command.quantity])
    if (replayed := _replayed(loaded, message, command, request)) is not None:
        return replayed
    stock = _stock(loaded, command.product_id)
    if stock.discontinued:
        raise Refused("the product is discontinued: there is no selling it any more")
    told = _Told(MoveKind.RESTOCK, command.quantity)
    return _done(message, command, request, _checked(stock, stock.restocked_by(command.quantity)), told)


def adjust(loaded: Loaded, message: Message, command: Adjust) -> Decision:
    request = request_hash(command)
    if (replayed := _replayed(loaded, message, command, request)) is not None:
        return replayed
    stock = _stock(loaded, command.product_id)
    told = _Told(MoveKind.ADJUST, command.delta, command.reason, command.note)
    return _done(message, command, request, _checked(stock, stock.adjusted_by(command.delta)), told)


def set_available(loaded: Loaded, message: Message, command: SetAvailable) -> Decision:
    request = request_hash(command)
    if (replayed := _replayed(loaded, message, command, request)) is not None:
        return replayed
    stock = _stock(loaded, command.product_id)
    if command.revisions is not None and stock.revision not in command.revisions:
        raise Stale("the stock has changed since: read it again, and send its ETag", **_present(stock))
    delta = command.available - stock.available
    if not delta:
        return Decision(changed=_remembered(message, command, request), reply=stock)
    told = _Told(MoveKind.SET, delta, command.reason, command.note)
    return _done(message, command, request, _checked(stock, stock.adjusted_by(delta)), told)


class _Told(NamedTuple):
    """What a command makes of the stock, in the words of its move."""

    kind: MoveKind
    delta: int
    reason: Reason | None = None
    note: str = ""


def _stock(loaded: Loaded, product_id: str) -> Stock:
    stock = loaded.get(Stock, product_id)
    if stock is None or not stock.created:
        raise NotFound(f"there is no stock of product {product_id}")
    return stock


def _checked(before: Stock, after: Stock) -> Stock:
    """`after`. Raises Refused where that cannot be."""
    if after.available < 0:
        raise Refused(
            f"{before.available} pieces can be taken away: cancel orders first that hold the others",
            **_present(before),
        )
    if after.came > LARGEST:
        raise Refused(f"one product can have {LARGEST} pieces at most")
    return after


def _present(stock: Stock) -> dict[str, object]:
    return {"available": stock.available, "reserved": stock.reserved, "revision": stock.revision}


def _replayed(loaded: Loaded, message: Message, command: Command, request: str) -> Decision | None:
    """The answer of a command whose key was used before. Raises KeyReused where that was another one."""
    key = command.idempotency_key
    if not key or earlier_subject(loaded.get(IdempotencyKey, key), request, message.at) is None:
        return None
    return Decision(reply=_stock(loaded, command.product_id), verdict=Verdict.DUPLICATE)


def _remembered(message: Message, command: Command, request: str) -> tuple[IdempotencyKey, ...]:
    key = command.idempotency_key
    if not key:
        return ()
    return (IdempotencyKey(id=key, request=request, subject=command.product_id, at=message.at),)


def _done(message: Message, command: Command, request: str, stock: Stock, told: _Told) -> Decision:
    """`stock` is as it becomes."""
    move = StockMove(
        id=message.id,
        product_id=stock.id,
        kind=told.kind,
        delta=told.delta,
        reason=told.reason,
        note=told.note,
        by=message.by.actor.id if message.by else "",
        at=message.at,
        revision=stock.revision,
    )
    decision = Decision(changed=(stock, move, *_remembered(message, command, request)), reply=stock)
    if told.kind is MoveKind.RESTOCK:
        return audited(decision, message, Action.RESTOCKED, stock.id, detail=f"{told.delta} pieces")
    detail = f"{told.delta:+} pieces"
    return audited(decision, message, Action.STOCK_ADJUSTED, stock.id, reason=told.reason, detail=detail)
