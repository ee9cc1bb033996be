"""Lists of orders, as their page shows them: its filter is its URL. Pure."""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Final, NamedTuple
from urllib.parse import urlencode

from msgspec import Struct

from console.words import amount, shortened
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


def page(orders: Iterable[Order], following: Cursor | None, show: Show, status: Status | None) -> Page:
    return Page(
        tabs=tuple(_tabs(show, status)),
        rows=tuple(_row(order) for order in orders),
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


def _row(order: Order) -> Row:
    return Row(
        id=order.id,
        link=f"{PATH}/{order.id}",
        status=order.status,
        settled=order.settled,
        since=order.state_since,
        created_at=order.created_at,
        total=amount(order.total, order.currency),
        customer=shortened(order.email),
        lines=len(order.lines),
        attention=len(order.attention),
    )
