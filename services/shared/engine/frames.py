"""AMQP 0-9-1 frames for what is sent often: publishing an event, acknowledging deliveries.

The client library's encoder builds a message from objects, which costs seven times as much. What is written
here is the same to the byte; a test holds it against that encoder.
"""

import struct
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Final

from pamqp import encode

FRAME_END: Final = b"\xce"
_FRAME: Final = struct.Struct(">BHI")
_METHOD, _HEADER, _BODY = 1, 2, 3
_PUBLISH: Final = struct.pack(">HHH", 60, 40, 0)
_MANDATORY: Final = b"\x01"
_CONTENT: Final = struct.Struct(">HHQH")
_BASIC: Final = 60
# content type, headers, delivery mode, correlation id, message id, timestamp, type
_FLAGS: Final = 0x8000 | 0x2000 | 0x1000 | 0x0400 | 0x0080 | 0x0040 | 0x0020
_JSON: Final = b"\x10application/json"
_PERSISTENT: Final = b"\x02"
_TIMESTAMP: Final = struct.Struct(">Q")
_ACK: Final = struct.Struct(">BHIHHQBc")
_ACK_PAYLOAD_BYTES: Final = 13


def ack(channel: int, tag: int, *, multiple: bool) -> bytes:
    return _ACK.pack(_METHOD, channel, _ACK_PAYLOAD_BYTES, 60, 80, tag, multiple, FRAME_END)


def publish(
    channel: int,
    exchange: str,
    routing_key: str,
    body: bytes,
    *,
    message_id: str,
    correlation_id: str,
    timestamp: datetime,
    headers: Mapping[str, str | int],
    largest: int,
) -> bytes:
    """A mandatory, persistent JSON message whose type is its routing key.

    `largest`: how many bytes of a body go into one frame. Raises ValueError for text that does not fit into
    255 bytes, as all of the envelope must.
    """
    table = encode.field_table(dict(headers))
    content = b"".join(
        (
            _CONTENT.pack(_BASIC, 0, len(body), _FLAGS),
            _JSON,
            table,
            _PERSISTENT,
            _short(correlation_id),
            _short(message_id),
            _TIMESTAMP.pack(int(timestamp.timestamp())),
            _short(routing_key),
        )
    )
    frames = [_publish_method(channel, exchange, routing_key), _frame(_HEADER, channel, content)]
    frames += [_frame(_BODY, channel, body[at : at + largest]) for at in range(0, len(body), largest)]
    return b"".join(frames)


@lru_cache(maxsize=256)
def _publish_method(channel: int, exchange: str, routing_key: str) -> bytes:
    return _frame(_METHOD, channel, _PUBLISH + _short(exchange) + _short(routing_key) + _MANDATORY)


def _frame(kind: int, channel: int, payload: bytes) -> bytes:
    return _FRAME.pack(kind, channel, len(payload)) + payload + FRAME_END


def _short(text: str) -> bytes:
    encoded = text.encode()
    if len(encoded) > 255:  # noqa: PLR2004  # what AMQP calls a short string
        raise ValueError(f"{len(encoded)} bytes, where AMQP takes 255: {text[:40]}...")
    return bytes((len(encoded),)) + encoded
