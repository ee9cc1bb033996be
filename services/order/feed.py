"""What a reader of an order's events is sent: pure.

An order's history is the log of its stream: event n is the nth entry. Whoever was cut off says which one they
saw last, and any replica goes on from there: none is missed, none comes twice, nothing is kept for them.
"""

import re
from enum import StrEnum
from typing import Final

from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event

from services.order.bodies import encoded, entry_body, order_body
from services.order.model import Order
from services.shared.http.auth import User

HEARTBEAT: Final = KEEPALIVE_COMMENT
_NUMBER: Final = re.compile("[0-9]{1,9}")


class Ending(StrEnum):
    """Why a stream is over."""

    SETTLED = "settled"
    TOKEN_EXPIRED = "token expired"  # noqa: S105  # words
    LASTED = "lasted long enough"
    STOPPING = "stopping"
    HUNG_UP = "hung up"


# What is said to those who are to come again.
FAREWELLS: Final = {
    Ending.TOKEN_EXPIRED: "the token has expired: come again with a new one",
    Ending.LASTED: "no stream lasts longer: come again",
    Ending.STOPPING: "this replica tells no more: come again",
}


def seen(last_event_id: str | None, steps: int) -> int:
    """How many of an order's steps the reader has, who sends this as Last-Event-ID.

    0 where it is no id that a stream of this order gave out.
    """
    if last_event_id is None or not _NUMBER.fullmatch(last_event_id):
        return 0
    number = int(last_event_id)
    return number if number <= steps else 0


def opening(retry_ms: int) -> bytes:
    """Says after how many milliseconds to come again: a stream that breaks says nothing any more."""
    return format_sse_event(retry=retry_ms)


def told(order: Order, after: int, caller: User) -> bytes:
    """The events of all steps but the first `after`; and the end, where nothing more will come by itself."""
    events = [
        format_sse_event(event="step", id=str(number), data_str=_text(entry_body(entry, caller)))
        for number, entry in enumerate(order.history[after:], after + 1)
    ]
    if order.settled:
        events.append(format_sse_event(event="end", data_str=_text(order_body(order, caller))))
    return b"".join(events)


def farewell(ending: Ending, retry_ms: int) -> bytes:
    return format_sse_event(comment=FAREWELLS[ending], retry=retry_ms)


def lasts(now: float, expires_at: float, longest: float) -> tuple[float, Ending]:
    """For how many seconds a stream may last, and why no longer. Times are seconds, as the token's are."""
    left = max(0.0, expires_at - now)
    return (left, Ending.TOKEN_EXPIRED) if left < longest else (longest, Ending.LASTED)


def _text(body: object) -> str:
    return encoded(body).decode()
