"""Orders that are open for too long, and what a sweep would do with each of them now. Pure."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple
from urllib.parse import quote

from msgspec import Struct

from console.words import shortened
from saga_operator.policy.policy import Policy, StaleOrder, plan
from sagactl.oncall.status.standing import said
from services.order.model import Order

# Of a SagaMonitor that does not say otherwise, and of `sagactl stuck sweep`.
POLICY: Final = Policy(
    stale_after=timedelta(minutes=5), pending_stale_after=timedelta(minutes=15), dry_run=True
)
LATE: Final = timedelta(0)


class Row(NamedTuple):
    id: str
    link: str
    status: str
    since: datetime
    customer: str
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


def page(orders: Sequence[Order], now: datetime, at_most: int) -> Page:
    """`orders`: that are open for too long, the longest first, perhaps one too many."""
    shown = orders[:at_most]
    planned = plan([_stale(each) for each in shown if _left(each, now) == LATE], POLICY)
    taken = {each.order_id for each in planned.preview}
    return Page(
        rows=tuple(_row(each, now, is_taken=each.id in taken) for each in shown),
        would=len(planned.preview),
        deferred=len(planned.deferred),
        more=len(orders) > at_most,
    )


def _stale(order: Order) -> StaleOrder:
    return StaleOrder(order.id, order.status, order.waits_since)


def _left(order: Order, now: datetime) -> timedelta | None:
    """Until a sweep takes it; None for an order that no sweep takes."""
    limit = POLICY.limits.get(order.status)
    return None if limit is None else max(LATE, order.waits_since + limit - now)


def _row(order: Order, now: datetime, *, is_taken: bool) -> Row:
    link, left = f"/orders/{quote(order.id, safe='')}", _left(order, now)
    return Row(
        id=order.id,
        link=link,
        status=order.status,
        since=order.waits_since,
        customer=shortened(order.email),
        swept="compensates it" if is_taken else _not_now(left),
        compensate="" if left is None else f"{link}/compensate",
    )


def _not_now(left: timedelta | None) -> str:
    if left is None:
        return "nothing: its money is on its way back"
    return f"nothing yet, but in {said(left)}" if left > LATE else "leaves it for the next"
