"""Bodies of messages to events and back, the older per-product forms included.

Older publishers send no message id, one message a product, and on STOCK_RESERVED no envelope at all.
Their messages are accepted on their queues exactly as they send them; we publish only what `events` names.
"""

import codecs
import hashlib
from collections.abc import Callable
from typing import Final, TypeVar

import msgspec
from msgspec import Struct

from services.shared.contract.events import (
    CONSUMES,
    INVENTORY,
    ORDERS,
    STOCK_RESERVED,
    Event,
    Line,
    OrderConfirmed,
    OrderId,
    ProductId,
    Quantity,
    ReleaseStock,
    ReserveStock,
    StockReserved,
    StockUnavailable,
    Text,
)


class InvalidMessage(ValueError):
    """The message does not fit the contract: no retry will help."""


class _Body(Struct):
    type: str
    data: msgspec.Raw


class _OneProduct(Struct, rename="camel", kw_only=True):
    order_id: OrderId
    product_id: ProductId
    quantity: Quantity

    @property
    def lines(self) -> tuple[Line, ...]:
        return (Line(self.product_id, self.quantity),)


class _OneProductReleased(_OneProduct, kw_only=True):
    reason: Text


class _OneProductRefused(Struct, rename="camel", kw_only=True):
    order_id: OrderId
    product_id: ProductId
    reason: Text


def _reserve(old: _OneProduct) -> ReserveStock:
    return ReserveStock(order_id=old.order_id, products=old.lines, product_id=old.product_id)


def _release(old: _OneProductReleased) -> ReleaseStock:
    return ReleaseStock(order_id=old.order_id, reason=old.reason, product_id=old.product_id)


def _reserved(old: _OneProduct) -> StockReserved:
    return StockReserved(order_id=old.order_id, products=old.lines)


def _refused(old: _OneProductRefused) -> StockUnavailable:
    # The older form says in prose how much there was; which product it was is what counts.
    return StockUnavailable(order_id=old.order_id, missing=(), reason=old.reason, product_id=old.product_id)


Form = TypeVar("Form", bound=Struct)


def _older(form: type[Form], translate: Callable[[Form], Event]) -> Callable[[bytes], Event]:
    decode = msgspec.json.Decoder(form).decode
    return lambda data: translate(decode(data))


# (queue, type in the body) -> how the older form is read.
OLDER_FORMS: Final[dict[tuple[str, str], Callable[[bytes], Event]]] = {
    (INVENTORY, "RESERVE"): _older(_OneProduct, _reserve),
    (INVENTORY, "RELEASE"): _older(_OneProductReleased, _release),
    (ORDERS, StockReserved.type): _older(_OneProduct, _reserved),
    (ORDERS, StockUnavailable.type): _older(_OneProductRefused, _refused),
}
# Queues whose older messages have no envelope: the whole body is the data.
BARE: Final = {STOCK_RESERVED: OrderConfirmed}

_DECODERS: Final[dict[tuple[str, str], Callable[[bytes], Event]]] = {
    (queue, event.type): msgspec.json.Decoder(event).decode
    for queues in CONSUMES.values()
    for queue, events in queues.items()
    for event in events
}
_BARE_DECODERS: Final[dict[str, Callable[[bytes], Event]]] = {
    queue: msgspec.json.Decoder(event).decode for queue, event in BARE.items()
}
_BODY: Final = msgspec.json.Decoder(_Body)
_ENCODER: Final = msgspec.json.Encoder(decimal_format="string")


def encode(event: Event) -> bytes:
    """The body of a message: money as decimal strings."""
    return _ENCODER.encode({"type": event.type, "data": event})


def decode(queue: str, body: bytes) -> Event:
    """The event that a message on `queue` carries. Raises InvalidMessage with what is wrong with it."""
    try:
        return _decode(queue, body.removeprefix(codecs.BOM_UTF8))
    except msgspec.DecodeError as error:  # ValidationError is one of these
        raise InvalidMessage(str(error)) from error
    except UnicodeDecodeError as error:
        raise InvalidMessage(f"not UTF-8: {error}") from error
    except RecursionError as error:
        raise InvalidMessage("nested too deeply") from error


def _decode(queue: str, body: bytes) -> Event:
    bare = _BARE_DECODERS.get(queue)
    try:
        outer = _BODY.decode(body)
    except msgspec.ValidationError:
        if bare is None:
            raise
        return bare(body)
    current = _DECODERS.get((queue, outer.type))
    older = OLDER_FORMS.get((queue, outer.type))
    if current is None and older is None:
        raise InvalidMessage(f"type {outer.type!r} is not for queue {queue!r}")
    if current is None:
        return older(bytes(outer.data))  # type: ignore[misc]  # one of the two is there
    try:
        return current(bytes(outer.data))
    except msgspec.ValidationError as error:
        if older is None:
            raise
        return _older_or(error, older, bytes(outer.data))


def _older_or(error: msgspec.ValidationError, older: Callable[[bytes], Event], data: bytes) -> Event:
    try:
        return older(data)
    except msgspec.ValidationError:
        raise error from None  # the current form is what a publisher should be told about


def content_id(queue: str, body: bytes) -> str:
    """The id of a message that came without one: the same message again is the same id."""
    return hashlib.sha256(queue.encode() + b"\0" + body).hexdigest()
