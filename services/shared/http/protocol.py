"""How much of the server one connection may have before it has asked for anything: bytes, seconds, a place.

uvicorn limits none of that. What is here looks at a connection only where a request is not complete after one
read, so that an ordinary request pays next to nothing.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

import httptools
from prometheus_client import Counter
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from services.shared.http import refusals
from services.shared.http.refusals import Reason, Refused
from services.shared.telemetry import at_zero

# Requests that one connection may send ahead of their answers.
PIPELINED: Final = 16
# After a refusal the peer has this long to read it: closing at once would take the answer back.
LINGER_SECONDS: Final = 1.0
# A server that ends waits so long for one who does not read what there is for them.
PARTING_SECONDS: Final = 5.0
REFUSED: Final = Counter(
    "sagashop_http_connections_refused_total",
    "Connections ended before their request was answered",
    ["reason"],
)
at_zero(REFUSED, Reason)


class Limits(NamedTuple):
    """What a connection may have. Seconds count from the first byte of a request, or from the connection."""

    # At the same time, over all clients.
    connections: int
    header_seconds: float
    request_seconds: float
    # Until one who does not read the answer is given up.
    stalled_seconds: float
    # The request line and all headers.
    header_bytes: int = 32 * 1024
    # A whole request as it comes over the wire, with the framing of its chunks and with what follows them.
    request_bytes: int = 1024 * 1024


class Asked(NamedTuple):
    """A request of which the headers are there: its method, its target as it was sent, its headers."""

    method: bytes
    target: bytes
    # Names are lower case.
    headers: Sequence[tuple[bytes, bytes]]


# A whole answer for a request that is to be turned away, else None.
TurnAway: TypeAlias = Callable[[Asked], bytes | None]


def nobody(_: Asked) -> None:
    """Turn nobody away."""


class Door:
    """What the connections of one server share: the limits, and who has to make room first."""

    def __init__(self, limits: Limits, turn_away: TurnAway = nobody) -> None:
        self.limits, self.turn_away = limits, turn_away
        # Those whose request is not complete, and those with nothing to do. The oldest come first.
        self.asking: dict[GuardedProtocol, None] = {}
        self.idle: dict[GuardedProtocol, None] = {}

    def open(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> "GuardedProtocol":
        """For uvicorn's `http=`: called once for each connection."""
        return GuardedProtocol(self, config, server_state, app_state, _loop)

    def has_room(self, taken: int) -> bool:
        """Whether one more may stay, which makes it `taken`. Where there is none left, the oldest idler goes.

        A half-open flood hence pushes out itself: an honest request is complete long before it is the oldest.
        """
        if taken <= self.limits.connections:
            return True
        oldest = next(iter(self.asking or self.idle), None)
        if oldest is None:
            return False
        REFUSED.labels(Reason.EVICTED).inc()
        oldest.evict()
        return True


class GuardedProtocol(HttpToolsProtocol):
    """One connection: 431, 408, 413 or 503, and its end, where it asks for more than its share."""

    def __init__(
        self,
        door: Door,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, loop)
        self._door, self._limits = door, door.limits
        # Of the request that is coming in.
        self._received = 0
        self._has_headers = False
        self._is_whole = False
        self._began = 0.0
        self._deadline: asyncio.TimerHandle | None = None
        self._stalled: asyncio.TimerHandle | None = None
        self._is_refused = False
        # What the request that is coming in is answered once it is there, if it is turned away.
        self._turned_away: bytes | None = None

    def evict(self) -> None:
        """End at once, without a word."""
        self._leave()
        self.transport.abort()

    # --- what the transport says ---------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn does
        super().connection_made(transport)
        if not self._door.has_room(len(self.connections)):
            self._refuse(refusals.no_room())
        else:
            self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._leave()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """In place of uvicorn's, which logs every request that is malformed or asks to upgrade."""
        if self._is_refused:
            return
        self._go_on()
        if self.cycle is None or self.cycle.response_complete:
            self._is_whole = False  # whatever this is, an empty line even: it has to become a request
        self._received += len(data)
        try:
            self.parser.feed_data(data)
            if not self._is_whole:
                self._check_bytes()
        except httptools.HttpParserUpgrade:
            pass  # we speak nothing else: it is answered as what it also is, a request
        except httptools.HttpParserError as error:
            cause = error.__context__
            self._refuse(cause if isinstance(cause, Refused) else refusals.malformed())
            return
        except Refused as refused:
            self._refuse(refused)
            return
        self._watch()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stalled = self.loop.call_later(self._limits.stalled_seconds, self.evict)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    def shutdown(self) -> None:
        super().shutdown()
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = self.loop.call_later(PARTING_SECONDS, self.evict)

    def timeout_keep_alive_handler(self) -> None:
        self.evict()  # a peer who has not read all by now never will: closing would wait for it

    # --- what the parser says -------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._go_on()
        self._has_headers = self._is_whole = False

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._has_headers:  # what follows a body in chunks would be taken for headers of the request
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        if self._received > self._limits.header_bytes:  # perhaps of others' bytes: a body, an earlier request
            self._check_headers()
        if len(self.pipeline) >= PIPELINED:
            raise refusals.too_many_ahead()
        if self._is_turned_away():
            return
        super().on_headers_complete()  # raises for a request that names no path
        self._has_headers = True

    def on_body(self, body: bytes) -> None:
        if self._turned_away is None:
            super().on_body(body)

    def on_message_complete(self) -> None:
        turned_away, self._turned_away = self._turned_away, None
        if turned_away is None:
            super().on_message_complete()
        self._is_whole, self._received = True, 0
        self._disarm()
        if turned_away is not None:
            self._answer_at_once(turned_away)
        elif self.cycle.response_complete:  # before all of it was there
            self._rest()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._is_whole and not self.pipeline:
            self._rest()

    def _is_turned_away(self) -> bool:
        """Only a request whose turn it is. Without a scope and a task, its answer costs half."""
        is_first = not self.pipeline and (self.cycle is None or self.cycle.response_complete)
        # Who does not read its answers gets none at once: they would only pile up here.
        if not is_first or self.expect_100_continue or self.flow.write_paused:
            return False
        self._turned_away = self._door.turn_away(Asked(self.parser.get_method(), self.url, self.headers))
        self._has_headers = self._turned_away is not None
        return self._has_headers

    def _answer_at_once(self, answer: bytes) -> None:
        self.transport.write(answer)
        if self.parser.should_keep_alive():
            self._rest()
        else:
            self.transport.close()

    # --- bytes ----------------------------------------------------------------------------------------------

    def _check_bytes(self) -> None:
        """Raises Refused where too much has come for a request that is not whole yet."""
        if not self._has_headers and self._received > self._limits.header_bytes:
            raise refusals.too_many_header_bytes(self._limits.header_bytes)
        if self._received > self._limits.request_bytes:
            raise refusals.too_many_bytes(self._limits.request_bytes)

    def _check_headers(self) -> None:
        size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        if size > self._limits.header_bytes:
            raise refusals.too_many_header_bytes(self._limits.header_bytes)

    # --- time -----------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        """A request that is not whole has a deadline: one for its headers, then one for all of it."""
        if self._is_whole or self.transport.is_closing():
            return
        if self._deadline is None:
            self._began = self.loop.time()
            self._door.asking[self] = None
        else:
            self._deadline.cancel()
        seconds = self._limits.request_seconds if self._has_headers else self._limits.header_seconds
        self._deadline = self.loop.call_at(self._began + seconds, self._refuse, refusals.too_slow())

    def _rest(self) -> None:
        """There is nothing to do: the connection is kept for a while."""
        self._go_on()
        self._door.idle[self] = None
        self.timeout_keep_alive_task = self.loop.call_later(
            self.timeout_keep_alive, self.timeout_keep_alive_handler
        )

    def _go_on(self) -> None:
        self._unset_keepalive_if_required()
        self._door.idle.pop(self, None)

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
            self._door.asking.pop(self, None)

    # --- the end --------------------------------------------------------------------------------------------

    def _refuse(self, refused: Refused) -> None:
        REFUSED.labels(refused.reason).inc()
        if not self._can_answer():
            self.evict()
            return
        self._disarm()
        self._is_refused = True
        self._abandon()
        self.transport.write(refusals.written(refused))
        if self.transport.can_write_eof():  # TLS has no half of a connection to close
            self.transport.write_eof()
        self._door.idle[self] = None
        self._deadline = self.loop.call_later(LINGER_SECONDS, self.evict)

    def _can_answer(self) -> bool:
        """Whether it is this request's turn, and nothing has been said to it."""
        if self.pipeline or self.transport.is_closing():
            return False
        if self.cycle is None or self.cycle.response_complete:
            return not self._has_headers or self._turned_away is not None
        return self._has_headers and self.cycle.more_body and not self.cycle.response_started

    def _abandon(self) -> None:
        """Whoever waits for the rest of the request is told that there is none."""
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()

    def _leave(self) -> None:
        self._disarm()
        self._door.idle.pop(self, None)
        if self._stalled is not None:
            self._stalled.cancel()
