"""Lists of orders, as their page shows them: its filter is its URL. Pure."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Final, NamedTuple
from urllib.parse import urlencode

from msgspec import Struct

from console.rights import NEEDS
from console.verdicts import Sight, sight
from console.words import amount, exactly, shortened
from sagactl.oncall.explain.explanation import Glance
from services.order.model import Order, Status
from services.shared.http.cursors import Cursor

PATH: Final = "/orders"


class Show(StrEnum):
    """Which orders, other than those of one state."""

    ALL = "all"
    # With events that contradict what happened.
    ATTENTION = "attention"


class Wanted(NamedTuple):
    """Which orders: those of which all is true that is given."""

    show: Show = Show.ALL
    status: Status | None = None
    # When they were placed: not before, and before.
    since: datetime | None = None
    until: datetime | None = None

    @property
    def is_empty(self) -> bool:
        """Every order there is, or was until then."""
        return self.show is Show.ALL and self.status is None and self.since is None

    @property
    def start(self) -> Cursor | None:
        """Where their list begins. No order's id comes before the empty one."""
        return None if self.until is None else Cursor(self.until, "")

    @property
    def said(self) -> str:
        parts = (
            "that are marked for attention" if self.show is Show.ATTENTION else "",
            f"that are {self.status}" if self.status else "",
            f"placed since {exactly(self.since)}" if self.since else "",
            f"placed before {exactly(self.until)}" if self.until else "",
        )
        return ", ".join(filter(None, parts))

    def fits(self, order: Order) -> bool:
        """Whether it is one of them, where it is marked if it is to be."""
        return (
            self.status in {None, order.status}
            and (self.since is None or order.created_at >= self.since)
            and (self.until is None or order.created_at < self.until)
        )

    def link_to(self, path: str, cursor: Cursor | None = None) -> str:
        said = {
            **({} if self.show is Show.ALL else {"show": str(self.show)}),
            **({} if self.status is None else {"status": str(self.status)}),
            **({} if self.since is None else {"since": self.since.isoformat()}),
            **({} if self.until is None else {"until": self.until.isoformat()}),
            **({} if cursor is None else {"cursor": cursor.encode()}),
        }
        return f"{path}?{urlencode(said)}" if said else path


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
    wanted: Wanted
    tabs: tuple[Tab, ...]
    rows: tuple[Row, ...]
    # The following page; empty at the end.
    following: str
    # Where it is planned what is to be done with all of them, by what that is; nothing where all means every
    # order there is.
    acts: tuple[Tab, ...]


def page(
    orders: Iterable[Order],
    told: Mapping[str, Glance],
    following: Cursor | None,
    wanted: Wanted,
    now: datetime,
) -> Page:
    """`told`: by the order, what there is to say of it; of none where nobody could look."""
    return Page(
        wanted=wanted,
        tabs=tuple(_tabs(wanted)),
        rows=tuple(_row(order, told.get(order.id)) for order in orders),
        following="" if following is None else wanted.link_to(PATH, following),
        acts=() if wanted.is_empty else tuple(_acts(wanted, now)),
    )


def _tabs(wanted: Wanted) -> Iterable[Tab]:
    states = [(Show.ALL, None), (Show.ATTENTION, None), *((Show.ALL, each) for each in Status)]
    for show, status in states:
        there = wanted._replace(show=show, status=status)
        yield Tab(status or show, there.link_to(PATH), there == wanted)


def _acts(wanted: Wanted, now: datetime) -> Iterable[Tab]:
    """Of those that were placed until now: else there are others each time that somebody looks."""
    those = wanted._replace(until=wanted.until or now)
    for action in NEEDS:
        yield Tab(action, those.link_to(f"{PATH}/all/{action}"), is_here=False)


def _row(order: Order, told: Glance | None) -> Row:
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
