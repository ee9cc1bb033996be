"""Raw AMQP 0-9-1: what client libraries refuse to write, other people's publishers do write.

Properties and headers are bytes here, put on the wire as they are.
"""

import asyncio
import struct
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final
from urllib.parse import unquote, urlsplit

from pamqp import commands, frame
from pamqp.base import Frame
from pamqp.header import ProtocolHeader

METHOD, HEADER, BODY, END = 1, 2, 3, b"\xce"
BASIC_CLASS: Final = 60
CHANNEL: Final = 1
FRAME_BYTES: Final = 128 * 1024
# In the order of their flags, from bit 15 down.
PROPERTIES: Final = (
    "content_type",
    "content_encoding",
    "headers",
    "delivery_mode",
    "priority",
    "correlation_id",
    "reply_to",
    "expiration",
    "message_id",
    "timestamp",
    "type",
    "user_id",
    "app_id",
    "cluster_id",
)


class Closed(Exception):
    """The broker closed the channel or the connection, with this code and text."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(code, text)
        self.code, self.text = code, text


def short(value: bytes) -> bytes:
    """A short string, as most properties are: at most 255 bytes of whatever kind."""
    return struct.pack("B", len(value)) + value


def long(value: bytes) -> bytes:
    return struct.pack(">I", len(value)) + value


def long_string(value: bytes) -> bytes:
    """A table's or an array's value."""
    return b"S" + long(value)


def array(*values: bytes) -> bytes:
    return b"A" + long(b"".join(values))


def table(values: Mapping[bytes, bytes]) -> bytes:
    """The `headers` property: names, and values that bring their type along."""
    return long(b"".join(short(name) + value for name, value in values.items()))


def encode_properties(properties: Mapping[str, bytes]) -> bytes:
    flags = sum(1 << (15 - bit) for bit, name in enumerate(PROPERTIES) if name in properties)
    values = b"".join(properties[name] for name in PROPERTIES if name in properties)
    return struct.pack(">H", flags) + values


class RawChannel:
    """One channel on a connection of its own, in confirm mode."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def publish(
        self, exchange: str, key: str, body: bytes, properties: Mapping[str, bytes] | None = None
    ) -> None:
        """Returns when the broker has confirmed it. Raises Closed when it takes offence."""
        header = struct.pack(">HHQ", BASIC_CLASS, 0, len(body)) + encode_properties(properties or {})
        bodies = (body[start : start + FRAME_BYTES - 8] for start in range(0, len(body), FRAME_BYTES - 8))
        self.write(
            frame.marshal(commands.Basic.Publish(exchange=exchange, routing_key=key), CHANNEL)
            + _frame(HEADER, header)
            + b"".join(_frame(BODY, part) for part in bodies)
        )
        answer = await self.answer()
        if not isinstance(answer, commands.Basic.Ack):
            raise TypeError(f"not confirmed: {answer!r}")

    async def declare(self, queue: str) -> None:
        """As older publishers assert their queue: durable, no arguments. Raises Closed where it differs."""
        await self.call(commands.Queue.Declare(queue=queue, durable=True))

    async def call(self, method: Frame, channel: int = CHANNEL) -> Frame:
        self.write(frame.marshal(method, channel))
        return await self.answer()

    def write(self, data: bytes) -> None:
        self._writer.write(data)

    async def answer(self) -> Frame:
        """The next method that the broker sends."""
        while True:
            kind, _, size = struct.unpack(">BHI", start := await self._reader.readexactly(7))
            rest = await self._reader.readexactly(size + 1)
            if kind != METHOD:
                continue  # a heartbeat
            _, _, method = frame.unmarshal(start + rest)
            if isinstance(method, commands.Channel.Close | commands.Connection.Close):
                raise Closed(method.reply_code or 0, method.reply_text)
            if isinstance(method, Frame):
                return method


@asynccontextmanager
async def raw_channel(amqp_url: str) -> AsyncIterator[RawChannel]:
    parts = urlsplit(amqp_url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        channel = RawChannel(reader, writer)
        channel.write(ProtocolHeader().marshal())
        await channel.answer()  # Connection.Start
        login = f"\0{unquote(parts.username or '')}\0{unquote(parts.password or '')}"
        await channel.call(commands.Connection.StartOk({}, "PLAIN", login, "en_US"), 0)  # answered by Tune
        channel.write(frame.marshal(commands.Connection.TuneOk(CHANNEL, FRAME_BYTES, 0), 0))
        await channel.call(commands.Connection.Open(unquote(parts.path[1:]) or "/"), 0)
        await channel.call(commands.Channel.Open())
        await channel.call(commands.Confirm.Select())
        yield channel
    finally:
        writer.close()
        await writer.wait_closed()


def _frame(kind: int, payload: bytes) -> bytes:
    return struct.pack(">BHI", kind, CHANNEL, len(payload)) + payload + END
