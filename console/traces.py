"""Where a trace is looked at: at Jaeger's pages, if there are some. Pure."""

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

from services.order.model import Order

# As the header `traceparent` has it, in the middle.
_PARENT: Final = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")
_ID: Final = re.compile(r"[0-9a-f]{32}")


class Trace(NamedTuple):
    id: str
    # Its page; empty where there is none.
    link: str


def of_order(order: Order, jaeger: str) -> tuple[Trace, ...]:
    """Those of its steps, the first one first."""
    return tuple(_traces((each.trace_id or "" for each in order.history), jaeger))


def of_header(traceparent: str, jaeger: str) -> Trace | None:
    """Others may have written anything into it."""
    found = _PARENT.fullmatch(traceparent)
    return Trace(found[1], _link(found[1], jaeger)) if found else None


def _traces(ids: Iterable[str], jaeger: str) -> Iterable[Trace]:
    return (Trace(each, _link(each, jaeger)) for each in dict.fromkeys(filter(None, ids)))


def _link(id_: str, jaeger: str) -> str:
    return f"{jaeger}/trace/{id_}" if jaeger and _ID.fullmatch(id_) else ""
