"""What the live check found, as its page shows it: each finding with where to look next. Pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple
from urllib.parse import quote, urlencode

from msgspec import Struct, field

from sagactl.oncall.invariants import TITLES, Invariant
from sagactl.oncall.report import SENTENCES, Found, Report, Verdict
from services.shared.emails import hidden

PATH: Final = "/checks"
ID: Final = "live"
# So long after it was last heard of one is not under way any more.
HELD: Final = timedelta(minutes=1)
# More are counted, and neither kept nor shown: whoever has as many begins with the first.
KEPT_AT_MOST: Final = 500
# What can be chosen: of orders that were placed...
WITHIN: Final[Mapping[str, timedelta | None]] = {
    "in the last 24 hours": timedelta(hours=24),
    "in the last 7 days": timedelta(days=7),
    "ever": None,
}
# What is said of an order, and what of a product; anything is found by its id.
OF_ORDERS: Final = frozenset({Invariant.STOCK_OWNED, Invariant.MONEY_AGREES, Invariant.SAGA_ENDED})
OF_PRODUCTS: Final = frozenset({Invariant.STOCK_CONSERVED})
SHAPES: Final[Mapping[Verdict, tuple[str, str]]] = {
    Verdict.HOLDS: ("✓", "good"),
    Verdict.WAITING: ("→", "moving"),
    Verdict.BROKEN: ("‼", "bad"),
}


class Done(Struct, frozen=True, rename="camel", kw_only=True):
    """A check that came to its end."""

    by: str
    begun_at: datetime
    at: datetime
    # Only of orders that were placed since; None for all.
    since: datetime | None
    verdict: Verdict
    orders: int
    # By the invariant: what it was asked of, and of how much it does not hold.
    counted: dict[Invariant, str]
    numbers: dict[Invariant, int]
    # Those first that no message cures, and not more than are kept.
    findings: tuple[Found, ...]


class Going(Struct, frozen=True, rename="camel", kw_only=True):
    """One that is under way, or was when its replica was killed."""

    by: str
    # By the database's clock.
    begun_at: datetime
    held_at: datetime
    holder: str
    # Only of orders that were placed since; None for all.
    since: datetime | None
    # How far it has come.
    so_far: str = ""


class Kept(Struct, frozen=True, rename="camel", kw_only=True):
    id: str = field(name="_id", default=ID)
    # The last that came to its end.
    done: Done | None = None
    going: Going | None = None
    # Why the last one did not; empty where it did.
    trouble: str = ""

    def is_going(self, now: datetime) -> bool:
        return self.going is not None and now - self.going.held_at < HELD


class Row(NamedTuple):
    """An invariant."""

    label: str
    title: str
    counted: str
    number: int
    verdict: Verdict
    shape: str
    mood: str


class Finding(NamedTuple):
    label: str
    subject: str
    # Where it is looked at.
    link: str
    # What would mend it; empty where it is about no order.
    repair: str
    what: str
    verdict: Verdict
    shape: str
    mood: str


class Page(Struct, frozen=True, kw_only=True):
    done: Done
    says: str
    shape: str
    mood: str
    rows: tuple[Row, ...]
    findings: tuple[Finding, ...]
    # So many more are not among them.
    left_out: int


def done(report: Report, by: str, since: datetime | None, begun_at: datetime, at: datetime) -> Done:
    found = sorted(report.findings, key=lambda each: each.waiting)
    return Done(
        by=by,
        begun_at=begun_at,
        at=at,
        since=since,
        verdict=report.verdict,
        orders=report.orders,
        counted=dict(report.counted),
        numbers={each: number for each in TITLES if (number := len(report.of(each)))},
        findings=tuple(Found.of(each._replace(what=hidden(each.what))) for each in found[:KEPT_AT_MOST]),
    )


def page(found: Done) -> Page:
    shape, mood = SHAPES[found.verdict]
    return Page(
        done=found,
        says=SENTENCES[found.verdict],
        shape=shape,
        mood=mood,
        rows=tuple(_row(found, each, title) for each, title in TITLES.items()),
        findings=tuple(map(_finding, found.findings)),
        left_out=sum(found.numbers.values()) - len(found.findings),
    )


def _row(found: Done, invariant: Invariant, title: str) -> Row:
    of = _verdict([each for each in found.findings if each.invariant is invariant])
    return Row(
        invariant.label,
        title,
        found.counted.get(invariant, ""),
        found.numbers.get(invariant, 0),
        of,
        *SHAPES[of],
    )


def _verdict(findings: Sequence[Found]) -> Verdict:
    if any(not each.waiting for each in findings):
        return Verdict.BROKEN
    return Verdict.WAITING if findings else Verdict.HOLDS


def _finding(found: Found) -> Finding:
    of = _verdict([found])
    order = f"/orders/{quote(found.subject, safe='')}" if found.invariant in OF_ORDERS else ""
    return Finding(
        found.invariant.label,
        found.subject,
        order or _link(found),
        f"{order}/repair" if order else "",
        found.what,
        of,
        *SHAPES[of],
    )


def _link(found: Found) -> str:
    if found.invariant in OF_PRODUCTS:
        return f"/products/{quote(found.subject, safe='')}"
    return f"/find?{urlencode({'q': found.subject})}"
