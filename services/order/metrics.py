"""What the saga's operators watch: orders by state, how long sagas take, compensations, refunds."""

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

from services.order import queries
from services.order.commands import SettleOutside
from services.order.model import ENDS, OPEN, CancellationReason, Order, Status
from services.order.saga import SAGA
from services.shared.contract.decisions import Decision, Message
from services.shared.contract.events import PaymentRefunded, RefundPayment
from services.shared.contract.table import NEW, STAYS, Step
from services.shared.database.counting import Backlog
from services.shared.engine.life import Engine
from services.shared.telemetry import at_zero

ORDERS: Final = Gauge("sagashop_orders", "Orders to which something is still to come, by state", ["status"])
OLDEST: Final = Gauge(
    "sagashop_orders_oldest_seconds",
    "For how long an order has waited in this state, at most, beyond the time that its payment may take; 0: "
    "none has",
    ["status"],
)
NEEDING_ATTENTION: Final = Gauge("sagashop_orders_attention", "Orders marked for a human to look at")
TRANSITIONS: Final = Counter("sagashop_order_transitions_total", "Steps of orders", ["from", "to"])
SAGA_DURATION: Final = Histogram(
    "sagashop_saga_duration_seconds",
    "From the order's creation to its end",
    ["outcome"],
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900),
)
COMPENSATIONS: Final = Counter("sagashop_compensations_total", "Orders cancelled, by reason", ["reason"])
REFUNDS: Final = Counter("sagashop_refunds_total", "Refunds", ["progress"])
at_zero(COMPENSATIONS, CancellationReason)
at_zero(REFUNDS, ["requested", "done"])
at_zero(SAGA_DURATION, ENDS)
for (_from, _), _rows in SAGA.cells.items():
    for _row in _rows:
        if isinstance(_row, Step):
            TRANSITIONS.labels("none" if _from is NEW else _from, _from if _row.to is STAYS else _row.to)


def observe(message: Message, decision: Decision) -> None:
    """Counts what a committed decision did to its order."""
    for order in decision.changed:
        if not isinstance(order, Order) or order.history[-1].event_id != message.id:
            continue
        step = order.history[-1]
        TRANSITIONS.labels(step.from_ or "none", step.to).inc()
        if any(isinstance(event, RefundPayment) and not event.settled_outside for event in decision.events):
            REFUNDS.labels("requested").inc()
        if step.event in {PaymentRefunded.type, SettleOutside.type}:
            REFUNDS.labels("done").inc()
        if step.from_ is step.to:
            continue
        if step.to is Status.CANCELLED:
            COMPENSATIONS.labels(order.cancellation_reason).inc()
        if step.to in ENDS:
            SAGA_DURATION.labels(step.to).observe((step.at - order.created_at).total_seconds())


async def count_orders(engine: Engine) -> None:
    """Sets the gauges. Of those that are over there are ever more: they are in TRANSITIONS.

    Raises PyMongoError.
    """
    now = engine.clock.now()
    for status in OPEN:
        longest = await queries.longest(engine.store, status)
        backlog = Backlog(ORDERS.labels(status), OLDEST.labels(status))
        since = longest.since if longest else None
        backlog.show(await queries.count(engine.store, status), since, now)
    NEEDING_ATTENTION.set(await queries.count_attention(engine.store))
