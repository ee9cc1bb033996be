"""What other systems put on our queues by mistake: each kind of wrong byte in each place that takes bytes.

All of it holds the word `rubbish` where it can hold a word. Pure: bytes for `dev.faults.raw_amqp`.
"""

import json
import struct
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from dev.faults.raw_amqp import array, long, long_string, short, table

MARK: Final = "rubbish"
NOT_UTF8: Final = b"caf\xe9"
BINARY: Final = b"\xff\xfe\x10\x9c" + b"\0" * 12
LONGEST: Final = b"r" * 255


class Piece(NamedTuple):
    """One message for a queue; what is wrong with it."""

    what: str
    body: bytes
    properties: Mapping[str, bytes]


def _envelope(type_: str, **data: Any) -> bytes:  # noqa: ANN401  # JSON
    return json.dumps({"type": type_, "data": data}).encode()


# Of a type that nobody knows: such a message is dead at once, whatever its properties are.
NOPE: Final = _envelope("NOPE", orderId=MARK)

# By queue, a type that is at home there and what it minimally says, so that one field at a time can be wrong.
_AT_HOME: Final[Mapping[str, tuple[str, Mapping[str, Any]]]] = {
    "orders": ("INVENTORY_RELEASED", {"orderId": MARK, "products": []}),
    "order-events": (
        "PAYMENT_SUCCEEDED",
        {"orderId": MARK, "transactionId": MARK, "amount": "1.00", "currency": "USD"},
    ),
    "inventory": (
        "INVENTORY_RESERVE_REQUEST",
        {"orderId": MARK, "products": [{"productId": MARK, "quantity": 1}]},
    ),
    "inventory-events": ("PRODUCT_CREATED", {"productId": MARK, "initialStock": 1}),
    "STOCK_RESERVED": (
        "ORDER_CONFIRMED",
        {
            "orderId": MARK,
            "totalPrice": "1.00",
            "currency": "USD",
            "products": [{"productId": MARK, "quantity": 1, "price": "1.00"}],
        },
    ),
    "payment-events": (
        "PAYMENT_REFUND",
        {"orderId": MARK, "amount": "1.00", "currency": "USD", "reason": MARK},
    ),
    "fulfilment": ("SHIPMENT_REFUSED", {"orderId": MARK, "reason": MARK}),
    "notifications": ("ORDER_CANCELLED", {"orderId": MARK, "reason": MARK, "email": f"{MARK}@shop.example"}),
}
QUEUES: Final = tuple(_AT_HOME)
# No field of any event is right with these.
_WRONG_VALUES: Final[tuple[Any, ...]] = (None, 1.5, -1, [[]], {MARK: MARK}, "", "r" * 10_000, 10**400)

_BODIES: Final[Mapping[str, bytes]] = {
    "empty body": b"",
    "body of bytes": BINARY,
    "half a document": b'{"type": "rubbish"',
    "a list": b'["rubbish"]',
    "null": b"null",
    "a number too large": b'{"type": "NOPE", "data": 1e999, "rubbish": 1}',
    "nested too deep": b"[" * 50_000,
    "two documents": b'{"type":"NOPE","data":{}}{"rubbish":1}',
    "UTF-16": '{"type":"NOPE","data":{"orderId":"rubbish"}}'.encode("utf-16"),
    "a lone surrogate": b'{"type":"NOPE","data":{"orderId":"\\ud800 rubbish"}}',
    "type is no text": b'{"type":1,"data":{"orderId":"rubbish"}}',
    "no data": b'{"type":"NOPE","note":"rubbish"}',
    "a megabyte": _envelope("NOPE", orderId=MARK, note="r" * 1_000_000),
}
_PROPERTIES: Final[Mapping[str, Mapping[str, bytes]]] = {
    "correlation id of bytes": {"correlation_id": short(BINARY)},
    "message id of bytes": {"message_id": short(BINARY)},
    "empty message id": {"message_id": short(b"")},
    "longest message id": {"message_id": short(LONGEST)},
    "message id with NUL": {"message_id": short(b"rubbish\0$where")},
    "type of bytes": {"type": short(NOT_UTF8)},
    "application id of bytes": {"app_id": short(NOT_UTF8)},
    "reply to bytes": {"reply_to": short(BINARY)},
    "content type of bytes": {"content_type": short(BINARY)},
    "encoding that is none": {"content_encoding": short(b"gzip")},
    "cluster id of bytes": {"cluster_id": short(BINARY)},
    "time 0": {"timestamp": struct.pack(">Q", 0)},
    "time in milliseconds": {"timestamp": struct.pack(">Q", 1_800_000_000_000)},
    "time after all times": {"timestamp": struct.pack(">Q", 2**64 - 1)},
    "time as a negative number": {"timestamp": struct.pack(">q", -1)},
    "delivery mode 77": {"delivery_mode": b"\x4d"},
    "priority 255": {"priority": b"\xff"},
    "everything of bytes": {
        "correlation_id": short(BINARY),
        "message_id": short(BINARY + b"all"),
        "type": short(BINARY),
        "app_id": short(BINARY),
        "timestamp": struct.pack(">Q", 2**64 - 1),
    },
}
_HEADERS: Final[Mapping[str, Mapping[bytes, bytes]]] = {
    "header of bytes": {b"note": long_string(NOT_UTF8)},
    "header whose name is bytes": {NOT_UTF8: long_string(b"rubbish")},
    "header without a name": {b"": long_string(b"rubbish")},
    "header of bytes by type": {b"note": b"x" + long(BINARY)},
    "void": {b"note": b"V"},
    "not a number": {b"note": b"d" + struct.pack(">d", float("nan"))},
    "decimal": {b"note": b"D" + struct.pack(">Bi", 255, -1)},
    "time after all times in a header": {b"note": b"T" + struct.pack(">Q", 2**64 - 1)},
    "nested tables": {b"note": b"F" + table({b"a": b"F" + table({b"b": array(b"V", long_string(BINARY))})})},
    "attempts that are text": {b"x-attempts": long_string(b"many")},
    "attempts below zero": {b"x-attempts": b"l" + struct.pack(">q", -(2**63))},
    "attempts without end": {b"x-attempts": b"l" + struct.pack(">q", 2**63 - 1)},
    "attempts that are true": {b"x-attempts": b"t\x01"},
    "deferrals that are infinite": {b"x-deferrals": b"d" + struct.pack(">d", float("inf"))},
    "first failure of bytes": {b"x-first-failed-at": long_string(BINARY)},
    "first failure in a table": {b"x-first-failed-at": b"F" + table({})},
    "reason of bytes": {b"x-error": long_string(BINARY), b"x-error-kind": b"V"},
    "trace of bytes": {b"traceparent": long_string(BINARY)},
    "trace that is a number": {b"traceparent": b"I" + struct.pack(">i", -1)},
    "trace that is none": {b"traceparent": long_string(b"00-" + b"0" * 32 + b"-" + b"0" * 16 + b"-zz")},
    "trace state of bytes": {b"tracestate": long_string(BINARY)},
    "death that is text": {b"x-death": long_string(b"rubbish")},
    "death of tables": {b"x-death": array(b"F" + table({b"count": long_string(b"rubbish")}))},
    "many headers": {f"rubbish-{number}".encode(): b"V" for number in range(1000)},
    "a long header": {b"note": long_string(b"r" * 100_000)},
}


def pieces(queue: str) -> Iterator[Piece]:
    """All of it for one queue."""
    yield from dead_at_once(queue)
    yield from wrong_fields(queue)


def dead_at_once(queue: str) -> Iterator[Piece]:
    """What no consumer can make anything of: one dead letter each, no more and no less."""
    for what, body in _BODIES.items():
        yield Piece(what, body, {})
    for what, properties in _PROPERTIES.items():
        yield Piece(what, NOPE, properties)
    for what, headers in _HEADERS.items():
        yield Piece(what, NOPE, {"headers": table(headers)})
    copied_to = {
        "CC": {b"CC": array(long_string(queue.encode()))},
        "BCC": {b"BCC": array(long_string(queue.encode()))},
    }
    for what, headers in copied_to.items():
        yield Piece(f"header {what}", NOPE, {"headers": table(headers)})


def wrong_fields(queue: str) -> Iterator[Piece]:
    """A message that is at home here, with one field wrong each time."""
    type_, data = _AT_HOME[queue]
    for name in data:
        for value in _WRONG_VALUES:
            yield Piece(f"{name} is {value!r:.20}", _envelope(type_, **{**data, name: value}), {})
        yield Piece(f"no {name}", _envelope(type_, **{key: data[key] for key in data if key != name}), {})
        if isinstance(data[name], str):
            yield Piece(f"{name} of carts", _envelope(type_, **{**data, name: "\U0001f6d2" * 64}), {})
            yield Piece(f"{name} with NUL", _envelope(type_, **{**data, name: f"{MARK}\0$"}), {})
