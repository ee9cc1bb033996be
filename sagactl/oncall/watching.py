"""`sagactl orders watch`: an order's steps, those that there were and each that comes, until it is settled.

It looks into the order service's database, as all that looks does: also while services are down, and without
a login (docs/adr/0085).
"""

import asyncio
import time
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Annotated, Final

import typer

from sagactl.documents import Document
from sagactl.exits import Exit
from sagactl.faults import AbsentError
from sagactl.oncall import arguments
from sagactl.oncall.books import reading
from sagactl.oncall.times import duration
from sagactl.output import Form, Output, Shown, show
from sagactl.screen import printable
from sagactl.terminal import Stack, access, run
from services.order import queries
from services.order.model import HistoryEntry, Order, Status
from services.shared.database.store import Store

POLL_SECONDS: Final = 0.5


class OrderSteps(Document, frozen=True, kw_only=True):
    """How far an order has come."""

    order: str
    status: Status
    # Nothing more happens to it by itself.
    settled: bool
    items: tuple[HistoryEntry, ...]


def watch(
    order_id: arguments.Order,
    stack: Stack = None,
    timeout: Annotated[
        str | None, typer.Option(help="Wait at most this long, such as 5m, until the order is settled.")
    ] = None,
    output: Form = Output.TABLE,
) -> None:
    """Show an order's steps, and each new one, until it is settled. Only reads.

    Exit code 0: it is settled. 1: no service knows it. 3: it was not settled in time.
    """
    within = None if timeout is None else duration(timeout)
    settled = run(_watch(access(stack).mongodb_url, order_id, within, output))
    raise typer.Exit(Exit.FINE if settled else Exit.NOT_YET)


async def _watch(mongodb_url: str, order_id: str, within: timedelta | None, output: Output) -> bool:
    """Whether it was settled in time. Raises AbsentError where the order service does not know it."""
    end = None if within is None else time.monotonic() + within.total_seconds()
    seen = 0
    async with reading(mongodb_url) as books:
        orders = books.store("order")
        while True:
            order = await known(orders, order_id)
            is_last = order.settled or (end is not None and time.monotonic() >= end)
            # One document is told whole, at the end.
            if is_last or output is not Output.JSON:
                show(told(order, order.history[seen:], is_last=is_last), output)
                seen = len(order.history)
            if is_last:
                return order.settled
            await asyncio.sleep(POLL_SECONDS)


async def known(orders: Store, order_id: str) -> Order:
    """Raises AbsentError where the order service does not know it, PyMongoError."""
    order = await queries.of(orders, order_id, customer_id=None)
    if order is None:
        raise AbsentError(f"the order service knows no order {order_id}: see sagactl find {order_id}")
    return order


def told(order: Order, steps: Sequence[HistoryEntry], *, is_last: bool) -> Shown:
    """Those steps of the order that were not told before, and at last how it ends."""
    document = OrderSteps(order=order.id, status=order.status, settled=order.settled, items=tuple(steps))
    return Shown(document, lambda _: _lines(order, steps, is_last), [each.event_id for each in steps], steps)


def _lines(order: Order, steps: Sequence[HistoryEntry], is_last: bool) -> Iterator[str]:  # noqa: FBT001  # as `told` has it
    for each in steps:
        moved = each.from_ not in {None, each.to}
        status = f"{each.from_} -> {each.to}" if moved else str(each.to)
        why = f"  {printable(each.reason)}" if each.reason else ""
        at = f"{each.at:%H:%M:%S}.{each.at.microsecond // 1000:03}"
        yield f"{at}  {printable(each.event):<26}  {status}{why}"
    if is_last:
        style, ends = ("green", "settled") if order.settled else ("yellow", "not settled yet")
        yield f"[{style}]{order.status}, {ends}[/]"
