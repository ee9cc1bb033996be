"""Lists of orders, as their page shows them: its filter is its URL. Pure."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Final, NamedTuple
from urllib.parse import urlencode

from msgspec import Struct

from console.verdicts import Sight, sight
from console.words import amount, shortened
from sagactl.oncall.explain.explanation import Explanation
from services.order.model import Order, Status
from services.shared.http.cursors import Cursor

PATH: Final = "/orders"


class Show(StrEnum):
    """Which orders, other than those of one state."""

    ALL = "all"
    # With events that contradict what happened.
    ATTENTION = "attention"


class Tab(NamedTuple):
    name: str
    link: str
    is_here: bool


class Row(NamedTuple):
    id: str
    link: str
    status: str
    settled: bool
    # None while it is unseen.
    sight: Sight | None
    since: datetime
    created_at: datetime
    total: str
    customer: str
    lines: int
    attention: int


class Page(Struct, frozen=True, kw_only=True):
    tabs: tuple[Tab, ...]
    rows: tuple[Row, ...]
    # The following page; empty at the end.
    following: str


def page(
    orders: Iterable[Order],
    told: Mapping[str, Explanation],
    following: Cursor | None,
    show: Show,
    status: Status | None,
) -> Page:
    """`told`: by the order, what there is to say of it; of none where nobody could look."""
    return Page(
        tabs=tuple(_tabs(show, status)),
        rows=tuple(_row(order, told.get(order.id)) for order in orders),
        following="" if following is None else _link(show, status, following),
    )


def _tabs(show: Show, status: Status | None) -> Iterable[Tab]:
    for each in Show:
        yield Tab(each, _link(each, None), show is each and status is None)
    for state in Status:
        yield Tab(state, _link(Show.ALL, state), status is state)


def _link(show: Show, status: Status | None, cursor: Cursor | None = None) -> str:
    said = {
        **({} if show is Show.ALL else {"show": str(show)}),
        **({} if status is None else {"status": str(status)}),
        **({} if cursor is None else {"cursor": cursor.encode()}),
    }
    return f"{PATH}?{urlencode(said)}" if said else PATH


def _row(order: Order, told: Explanation | None) -> Row:
    return Row(
        id=order.id,
        link=f"{PATH}/{order.id}",
        status=order.status,
        settled=order.settled,
        sight=sight(told),
        since=order.state_since,
        created_at=order.created_at,
        total=amount(order.total, order.currency),
        customer=shortened(order.email),
        lines=len(order.lines),
        attention=len(order.attention),
    )
