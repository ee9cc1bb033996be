"""A TCP proxy that does to its connections what networks do.

`up` is towards the target, `down` is back to the client. Each fault stays until `heal`, and holds for the
connections that are there and for those that come.
"""

import asyncio
import socket
import struct
from contextlib import suppress
from types import TracebackType
from typing import Final, Literal, NamedTuple, Self

Direction = Literal["up", "down", "both"]
CHUNK_BYTES: Final = 64 * 1024
# How much one direction of a connection holds back; a sender of more has to wait, as for a full TCP window.
CHUNKS_HELD: Final = 256
# A trickle's pieces leave so often.
PIECE_SECONDS: Final = 0.05
# What was passed on before a reset has to leave this machine's buffers first: a reset discards them.
BEFORE_RESET_SECONDS: Final = 0.02
# on, and zero seconds: closing sends a reset and not an orderly end
LINGER_ZERO: Final = struct.pack("ii", 1, 0)


class Counts(NamedTuple):
    # Connections that were accepted, and those of them that are still there.
    accepted: int
    open: int
    # Bytes that arrived, by direction, and bytes that never will.
    up: int
    down: int
    swallowed: int


class _Way:
    """What happens to the bytes of one direction."""

    def __init__(self) -> None:
        self.passed = self.swallowed = 0
        self.flowing = asyncio.Event()
        self.heal()

    def heal(self) -> None:
        self.silent = False
        self.delay_seconds = 0.0
        self.bytes_per_second: float | None = None
        # So many bytes more pass before the connection that sends the next one is reset.
        self.passing: int | None = None
        self.flowing.set()

    def piece(self, available: int) -> int:
        """How many of the available bytes may be passed on at once."""
        size = available
        if self.bytes_per_second is not None:
            size = min(size, max(1, int(self.bytes_per_second * PIECE_SECONDS)))
        return size if self.passing is None else min(size, self.passing)


Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class _Link:
    """One client's connection and the target's that belongs to it."""

    def __init__(self, client: Streams, target: Streams, up: _Way, down: _Way) -> None:
        self._client, self._target, self._up, self._down = client, target, up, down
        # Bytes of it were swallowed: no more may follow, for TCP has no gaps.
        self.broken = False

    async def run(self) -> None:
        """Until both ends are through, or one of them is reset."""
        try:
            await self._until_through()
        finally:
            for _, writer in (self._client, self._target):
                writer.close()

    async def _until_through(self) -> None:
        reset = False
        try:
            async with asyncio.TaskGroup() as group:
                for (reader, _), (_, writer), way in (
                    (self._client, self._target, self._up),
                    (self._target, self._client, self._down),
                ):
                    held: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(CHUNKS_HELD)
                    group.create_task(self._take(reader, way, held))
                    group.create_task(self._pass_on(held, way, writer))
        except* OSError:  # also the end of a link that `drop_after` dropped
            reset = True
        if reset and (self._up.silent or self._down.silent):
            self.broken = True
            await asyncio.Event().wait()  # one end is gone, and the other does not hear of it: see `heal`
        if reset:
            self.reset()

    def reset(self) -> None:
        for _, writer in (self._client, self._target):
            _reset(writer)

    async def _take(
        self, reader: asyncio.StreamReader, way: _Way, held: asyncio.Queue[tuple[float, bytes]]
    ) -> None:
        loop = asyncio.get_running_loop()
        data = b"more"
        while data:
            data = await reader.read(CHUNK_BYTES)
            await held.put((loop.time() + way.delay_seconds, data))

    async def _pass_on(
        self, held: asyncio.Queue[tuple[float, bytes]], way: _Way, writer: asyncio.StreamWriter
    ) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due, data = await held.get()
            await asyncio.sleep(due - loop.time())
            if data:
                await self._pass_pieces(data, way, writer)
                continue
            await way.flowing.wait()
            if way.silent or self.broken:
                self.broken = True  # its end is not heard of either: `heal` resets it
            elif writer.can_write_eof():
                writer.write_eof()
            return

    async def _pass_pieces(self, data: bytes, way: _Way, writer: asyncio.StreamWriter) -> None:
        while data:
            await way.flowing.wait()
            if way.silent or self.broken:
                way.swallowed += len(data)
                self.broken = True
                return
            if way.passing == 0:
                way.passing = None  # one connection, once
                await asyncio.sleep(BEFORE_RESET_SECONDS)
                raise ConnectionResetError("enough bytes have passed")
            size = way.piece(len(data))
            writer.write(data[:size])
            await writer.drain()
            data = data[size:]
            way.passed += size
            if way.passing is not None:
                way.passing -= size
            if way.bytes_per_second is not None:
                await asyncio.sleep(size / way.bytes_per_second)


class Proxy:
    """`async with Proxy("127.0.0.1", 5672) as proxy:` and clients connect to `proxy.port`."""

    def __init__(self, target_host: str, target_port: int, *, host: str = "127.0.0.1", port: int = 0) -> None:
        self._target = (target_host, target_port)
        self._host = host
        # Where it listens: any free port unless given, the same one from then on.
        self.port = port
        self._up, self._down = _Way(), _Way()
        self._links: dict[_Link, asyncio.Task[None]] = {}
        # Connections between being accepted and being linked.
        self._arriving: set[asyncio.Task[None]] = set()
        self._listener: socket.socket | None = None
        self._accepted = 0

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def start(self) -> int:
        """Listens, and returns the port."""
        self.accept()
        return self.port

    async def close(self) -> None:
        """Resets all connections and listens no more."""
        self.refuse()
        tasks = [*self._arriving, *self._links.values()]
        self.cut()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)  # transports close their sockets one turn of the loop later

    @property
    def counts(self) -> Counts:
        swallowed = self._up.swallowed + self._down.swallowed
        return Counts(self._accepted, len(self._links), self._up.passed, self._down.passed, swallowed)

    # --- faults -----------------------------------------------------------------------------------------

    def cut(self) -> None:
        """Resets all connections (RST, both ends). New ones are welcome."""
        for task in self._arriving:
            task.cancel()
        for link, task in self._links.items():
            link.reset()
            task.cancel()

    def refuse(self) -> None:
        """Nobody listens any more; connections that are there stay."""
        if self._listener is not None:
            asyncio.get_running_loop().remove_reader(self._listener)
            self._listener.close()
            self._listener = None

    def accept(self) -> None:
        if self._listener is None:
            listener = self._listener = socket.create_server((self._host, self.port), backlog=128)
            listener.setblocking(False)  # noqa: FBT003  # the socket module's own signature
            self.port = listener.getsockname()[1]
            asyncio.get_running_loop().add_reader(listener, self._arrive, listener)

    def silence(self, direction: Direction = "both") -> None:
        """Half-open: bytes are swallowed, nothing is closed, and new connections get no answer either.

        Whatever lost bytes is reset by `heal`, as by a peer that knows the connection no more.
        """
        for way in self._ways(direction):
            way.silent = True

    def freeze(self, direction: Direction = "both") -> None:
        """Bytes are held back, and arrive once it is healed: a stall, after which all goes on."""
        for way in self._ways(direction):
            way.flowing.clear()

    def trickle(self, bytes_per_second: float, direction: Direction = "both") -> None:
        for way in self._ways(direction):
            way.bytes_per_second = bytes_per_second

    def delay(self, seconds: float, direction: Direction = "both") -> None:
        """Bytes arrive so much later, in full width."""
        for way in self._ways(direction):
            way.delay_seconds = seconds

    def drop_after(self, n_bytes: int, direction: Direction = "up") -> None:
        """Resets a connection, once, in the middle of what it sends: after so many bytes more."""
        for way in self._ways(direction):
            way.passing = n_bytes

    def heal(self) -> None:
        """As at first. Connections that lost bytes are reset."""
        for way in self._ways("both"):
            way.heal()
        for link, task in self._links.items():
            if link.broken:
                link.reset()
                task.cancel()
        self.accept()

    def _ways(self, direction: Direction) -> tuple[_Way, ...]:
        return {"up": (self._up,), "down": (self._down,), "both": (self._up, self._down)}[direction]

    # --- connections ------------------------------------------------------------------------------------

    def _arrive(self, listener: socket.socket) -> None:
        try:
            accepted, _ = listener.accept()
        except (BlockingIOError, ConnectionError):  # it is gone again
            return
        accepted.setblocking(False)  # noqa: FBT003  # see above
        self._accepted += 1
        task = asyncio.create_task(self._link(accepted))
        self._arriving.add(task)

        def arrived(_: object) -> None:
            self._arriving.discard(task)
            if task.cancelled():  # before it began, perhaps: then nobody else has the socket
                with suppress(OSError), accepted:
                    accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_ZERO)

        task.add_done_callback(arrived)

    async def _link(self, accepted: socket.socket) -> None:
        client = await asyncio.open_connection(sock=accepted)
        try:
            target = await asyncio.open_connection(*self._target)
        except BaseException as error:
            _reset(client[1])
            if isinstance(error, OSError):  # the target is not there, and that is all there is to say
                return
            raise
        link = _Link(client, target, self._up, self._down)
        task = asyncio.create_task(link.run())
        self._links[link] = task
        task.add_done_callback(lambda _: self._links.pop(link))


def _reset(writer: asyncio.StreamWriter) -> None:
    """Of one that is closed already asyncio has a socket that refuses all, uvloop none, or an error."""
    with suppress(OSError, ValueError):
        if (there := writer.get_extra_info("socket")) is not None:
            there.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_ZERO)
    writer.transport.abort()
