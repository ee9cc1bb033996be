"""`sagactl orders show ID`: all that the services know of one order, read from their databases side by side.

It works while services are down, which is when somebody asks.
"""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Final

import msgspec
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from sagactl.documents import Document
from sagactl.oncall import arguments, invariants
from sagactl.oncall.books import reading
from sagactl.oncall.invariants import Case
from sagactl.oncall.status.standing import said
from sagactl.output import Form, Output, Shown, show
from sagactl.screen import printable
from sagactl.terminal import Stack, absent, access, run
from services.notification.domain import Notification, NotificationState
from services.order.model import HistoryEntry, Order, RefundState
from services.shared.contract import money

# Nobody reads a day in milliseconds.
IN_WORDS_FROM: Final = timedelta(seconds=10)


class OrderFacts(Document, frozen=True, kw_only=True):
    """What is in each service's book of it, as it stands there; None where it does not know it."""

    id: str
    order: dict[str, Any] | None
    reservation: dict[str, Any] | None
    payment: dict[str, Any] | None
    # What the payment gateway did.
    ledger: list[dict[str, Any]]
    notifications: list[dict[str, Any]]
    # In a shop with a fulfilment service.
    shipment: dict[str, Any] | None = None


def order(
    order_id: arguments.Order,
    stack: Stack = None,
    output: Form = Output.TABLE,
) -> None:
    """Show one order: its lines, timeline, payment, stock and notifications. Only reads."""
    case = run(_read(access(stack).mongodb_url, order_id))
    if case.order is None and case.reservation is None and case.payment is None:
        absent(f"no service knows an order {order_id}")
    show(Shown(OrderFacts(**to_json(case)), lambda _: shown(case), [case.id]), output)


async def _read(mongodb_url: str, order_id: str) -> Case:
    async with reading(mongodb_url) as books:
        (case,) = await books.these([order_id])
        return case


def to_json(case: Case) -> dict[str, Any]:
    """All of it but with what one may act for the customer: their token, and where they are to agree.

    Of a case that can be read whole.
    """
    found: dict[str, Any] = msgspec.to_builtins(case._asdict())
    del found["unreadable"]
    if found["order"]:
        found["order"].pop("paymentToken", None)
        found["order"].pop("pendingPayment", None)
    if found["payment"]:
        found["payment"].pop("nextAction", None)
    for entry in found["ledger"]:
        entry.pop("url", None)
    return found


def shown(case: Case) -> Iterator[RenderableType]:
    """What a terminal shows of it, from the order outward to those who acted on it."""
    if case.order is None:
        yield f"[yellow]The order service does not know order {printable(case.id)}; others do.[/]"
    else:
        yield from _order(case.order)
    if case.payment is not None:
        amount = _amount(case.payment.amount, case.payment.currency)
        why = f" ({printable(case.payment.reason)})" if case.payment.reason else ""
        yield f"[bold]payment[/]  {case.payment.stage}{amount}{why}"
    for entry in case.ledger:
        yield f"[bold]gateway[/]  {entry.kind} {entry.status}{_amount(entry.amount, entry.currency)}"
    if case.reservation is not None:
        lines = ", ".join(
            f"{each.quantity} of {each.product_id} {each.state}"
            + (f" ({each.returned} came back)" if each.returned else "")
            for each in case.reservation.lines
        )
        yield f"[bold]stock[/]    {printable(lines)}"
    if case.shipment is not None:
        goods = ", ".join(f"{each.quantity} of {each.product_id}" for each in case.shipment.products)
        why = f" ({case.shipment.refusal})" if case.shipment.refusal else ""
        yield f"[bold]goods[/]    {case.shipment.state}: {printable(goods + why)}"
    if case.notifications:
        yield f"[bold]told[/]     {', '.join(map(_told, case.notifications))}"
    for finding in (*invariants.check_case(case), *invariants.contradictions(case)):
        yield f"[yellow]{finding.invariant.label}[/] {printable(finding.what)}"


def _told(notification: Notification) -> str:
    """With what became of the mail, where one is sent."""
    if notification.state is NotificationState.RECORDED:
        return notification.kind
    why = f": {printable(notification.reason)}" if notification.reason else ""
    return f"{notification.kind} (mail {notification.state}{why})"


def _order(order: Order) -> Iterator[RenderableType]:
    progress = "settled" if order.settled else "in progress"
    reason = f", {order.cancellation_reason}" if order.cancellation_reason else ""
    yield (
        f"[bold]order[/]    {printable(order.id)}  [bold]{order.status}[/]{printable(reason)} ({progress}),"
        f"{_amount(order.total, order.currency)}, of customer {printable(order.customer_id)}"
    )
    for line in order.lines:
        price = _amount(line.price, order.currency)
        yield f"[bold]line[/]     {line.quantity} of {printable(line.product_id)} at{price}: {line.state}"
    for refund in order.given_back:
        lines = ", ".join(f"{each.quantity} of {each.product_id}" for each in refund.lines)
        what = f" for {printable(lines)}" if lines else ""
        note = refund.refusal if refund.state is RefundState.REFUSED else refund.outside
        why = f" ({printable(note)})" if note else ""
        yield f"[bold]refund[/]  {_amount(refund.amount, order.currency)}{what}: {refund.state}{why}"
    yield _timeline(order.history)
    for entry in order.history:
        if entry.actor is not None:
            roles = f" ({', '.join(entry.actor.roles)})" if entry.actor.roles else ""
            who = f"{entry.actor.kind} {entry.actor.id}{roles}"
            yield f"[bold]by[/]       {printable(who)}: {entry.event}"
    traces = dict.fromkeys(entry.trace_id for entry in order.history if entry.trace_id)
    if traces:
        yield f"[bold]trace[/]    {printable(', '.join(traces))}"


def _timeline(history: tuple[HistoryEntry, ...]) -> Table:
    # Without a frame and the traces, the longest event and status fit a terminal of 80 columns, and a file.
    table = Table("at (UTC)", "after", "event", "status", box=None, pad_edge=False, header_style="dim")
    for entry in history:
        moved = entry.from_ not in {None, entry.to}
        status = f"{entry.from_} -> {entry.to}" if moved else str(entry.to)
        table.add_row(
            f"{entry.at:%Y-%m-%d %H:%M:%S}",
            _after(entry.at - history[0].at),
            entry.event,
            Text(status, style="" if moved else "dim"),
        )
    return table


def _after(age: timedelta) -> str:
    return said(age) if age >= IN_WORDS_FROM else f"{age / timedelta(milliseconds=1):.0f} ms"


def _amount(minor: int, currency: str) -> str:
    """With a space before it; nothing where there is no currency yet."""
    return f" {money.to_decimal(minor, currency)} {currency}" if currency else ""
