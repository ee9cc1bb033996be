"""Orders that are open for too long, and what a sweep would do with each of them now. Only reads."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from msgspec import Struct

from saga_operator.policy.policy import Plan, Policy, StaleOrder, plan
from sagactl.documents import Document
from sagactl.oncall.status.standing import OPEN_AT_MOST, said
from services.order import queries
from services.order.model import OPEN, Order, Status
from services.shared.database.store import Store

# Of a SagaMonitor that does not say otherwise, and of `sagactl stuck sweep`.
POLICY: Final = Policy(stale_after=timedelta(minutes=5), pending_stale_after=timedelta(minutes=15))
LATE: Final = timedelta(0)


class Stuck(Struct, frozen=True, rename="camel", kw_only=True):
    """An order that is open for too long."""

    order: str
    status: Status
    since: datetime
    customer: str
    # What a sweep would do with it now.
    sweep: str


class StuckList(Document, frozen=True, kw_only=True):
    # By the database's clock.
    at: datetime
    # Those that wait for longest first.
    items: tuple[Stuck, ...]
    # There are more than these.
    more: bool


async def overdue(orders: Store, now: datetime, at_most: int) -> Sequence[Order]:
    """Those that are open for too long, the longest first. Raises PyMongoError."""
    before = now - OPEN_AT_MOST
    found = [order for state in OPEN for order in await queries.stale(orders, state, before, at_most)]
    return sorted(found, key=lambda order: order.waits_since)[:at_most]


def listed(orders: Sequence[Order], now: datetime, at_most: int) -> StuckList:
    """`orders`: the longest first, perhaps one too many."""
    shown = orders[:at_most]
    taken = {each.order_id for each in sweep_of(shown, now).preview}
    items = tuple(
        Stuck(
            order=each.id,
            status=each.status,
            since=each.waits_since,
            customer=each.customer_id,
            sweep=would(each, now, is_taken=each.id in taken),
        )
        for each in shown
    )
    return StuckList(at=now, items=items, more=len(orders) > at_most)


def sweep_of(orders: Sequence[Order], now: datetime) -> Plan:
    """What a sweep of these orders would do now: nothing is done."""
    late = [StaleOrder(each.id, each.status, each.waits_since) for each in orders if left(each, now) == LATE]
    return plan(late, replace(POLICY, dry_run=True))


def left(order: Order, now: datetime) -> timedelta | None:
    """Until a sweep takes it; None for an order that no sweep takes."""
    limit = POLICY.limits.get(order.status)
    return None if limit is None else max(LATE, order.waits_since + limit - now)


def would(order: Order, now: datetime, *, is_taken: bool) -> str:
    """What a sweep would do with it, in words."""
    if is_taken:
        return "compensates it"
    time = left(order, now)
    if time is None:
        return "nothing: its money is on its way back"
    return f"nothing yet, but in {said(time)}" if time > LATE else "leaves it for the next"
