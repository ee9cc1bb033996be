"""Orders that are open for too long, and what a sweep would do with each of them now. Pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, NamedTuple
from urllib.parse import quote

from msgspec import Struct

from console import words
from console.verdicts import Sight, sight
from saga_operator.policy.policy import Outcome, StaleOrder, Sweep
from sagactl.oncall.explain.explanation import Glance
from sagactl.oncall.overdue import left, sweep_of, would
from services.order.model import Order

SWEEP: Final = "/stuck/sweep"


class Row(NamedTuple):
    id: str
    link: str
    status: str
    since: datetime
    customer: str
    # None while it is unseen.
    sight: Sight | None
    # What a sweep would do with it.
    swept: str
    # Where it is compensated at once; empty where there is nothing to compensate.
    compensate: str


class Page(Struct, frozen=True, kw_only=True):
    # Those that wait for longest first.
    rows: tuple[Row, ...]
    # Of those rows: how many a sweep would compensate now, and how many only the next.
    would: int
    deferred: int
    # There are more than these rows.
    more: bool


class Swept(Struct, frozen=True, kw_only=True):
    """What a sweep would do: its orders, those that wait for longest first."""

    rows: tuple[Row, ...]
    # Of two sets of orders the same, if they are the same.
    digest: str


def page(orders: Sequence[Order], told: Mapping[str, Glance], now: datetime, at_most: int) -> Page:
    """`orders`: that are open for too long, the longest first, perhaps one too many. `told`: by the order,
    what there is to say of it; of none where nobody could look.
    """
    shown, planned = orders[:at_most], sweep_of(orders[:at_most], now)
    taken = {each.order_id for each in planned.preview}
    return Page(
        rows=tuple(_row(each, told.get(each.id), now, is_taken=each.id in taken) for each in shown),
        would=len(planned.preview),
        deferred=len(planned.deferred),
        more=len(orders) > at_most,
    )


def swept(orders: Sequence[Order], now: datetime, at_most: int) -> Swept:
    """Of the orders of the page, those that it says a sweep would compensate now."""
    found = to_sweep(orders, now, at_most)
    taken = {each.order_id for each in found}
    rows = tuple(_row(each, None, now, is_taken=True) for each in orders[:at_most] if each.id in taken)
    return Swept(rows=rows, digest=digest(found))


def to_sweep(orders: Sequence[Order], now: datetime, at_most: int) -> Sequence[StaleOrder]:
    return sweep_of(orders[:at_most], now).preview


def digest(orders: Sequence[StaleOrder]) -> str:
    return words.digest(f"{each.status}/{each.order_id}" for each in orders)


def told(sweep: Sweep) -> str:
    """What a sweep could not do, in a sentence; empty where it did all."""
    failed = [each for each in sweep.attempts if each.outcome is Outcome.FAILED]
    if not failed:
        return ""
    done, left = len(sweep.attempts) - len(failed), len(sweep.plan.compensate) - len(sweep.attempts)
    whys = dict.fromkeys(each.failure.message for each in failed if each.failure)
    rest = f", {left} left alone" if left else ""
    return f"{done} swept, {len(failed)} not{rest}: {'; '.join(whys)}"


def _row(order: Order, told: Glance | None, now: datetime, *, is_taken: bool) -> Row:
    link = f"/orders/{quote(order.id, safe='')}"
    return Row(
        id=order.id,
        link=link,
        status=order.status,
        since=order.waits_since,
        customer=words.shortened(order.email),
        sight=sight(told),
        swept=would(order, now, is_taken=is_taken),
        compensate="" if left(order, now) is None else f"{link}/compensate",
    )
