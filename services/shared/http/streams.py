"""Answers without an end: how many of them a server has open, and for whom.

Each has a connection as long as it lasts, and makes room for no request meanwhile, as an idle one would. So
they have half of the server's connections at most, and one caller a few of those.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Final

from prometheus_client import Counter, Gauge
from starlette.responses import StreamingResponse

from services.shared.contract.codes import Code
from services.shared.http.answers import EVENTS
from services.shared.http.problems import Problem
from services.shared.telemetry import at_zero

# A proxy that collects an answer before it passes it on would keep all of it.
UNBUFFERED: Final = {"X-Accel-Buffering": "no"}
RETRY_AFTER: Final = {"Retry-After": "10"}
OPEN: Final = Gauge("sagashop_streams_open", "Streams of events that are open")


class Reason(StrEnum):
    """Why one more is refused, to those who count."""

    CALLER = "caller"
    FULL = "full"


REFUSED: Final = Counter("sagashop_streams_refused_total", "Streams refused", ["reason"])
at_zero(REFUSED, Reason)


class EventStream(StreamingResponse):
    """FastAPI's own class of that kind makes a generator of the route, which then has no other answer."""

    media_type = EVENTS


class Streams:
    def __init__(self, connections: int, most_each: int) -> None:
        """`connections`: as many as the server takes; `most_each`: streams of one caller."""
        self._most, self._most_each = connections // 2, most_each
        self._of: dict[str, int] = {}

    @contextmanager
    def one_more(self, whose: str) -> Iterator[None]:
        """While the stream is open. Raises Problem where there is no room for it."""
        own = self._of.get(whose, 0)
        if own >= self._most_each:
            REFUSED.labels(Reason.CALLER).inc()
            detail = (
                f"{self._most_each} streams are open, which is all you may have at a time: end one of them"
            )
            raise Problem(Code.TOO_MANY_STREAMS, detail, RETRY_AFTER)
        if sum(self._of.values()) >= self._most:
            REFUSED.labels(Reason.FULL).inc()
            raise Problem(Code.OVERLOADED, "too many streams are open: ask now and then instead", RETRY_AFTER)
        self._of[whose] = own + 1
        OPEN.inc()
        try:
            yield
        finally:
            OPEN.dec()
            self._of[whose] -= 1
            if not self._of[whose]:
                del self._of[whose]
