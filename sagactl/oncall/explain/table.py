"""What the saga's table says of an order: what it waits for, and which commands it allows."""

from collections.abc import Iterator, Sequence
from typing import Final

from msgspec import structs

from sagactl.oncall.explain import preview
from sagactl.oncall.explain.explanation import OPEN, Action, Hop, Next, Outcome
from sagactl.oncall.explain.hops import QUEUES
from sagactl.oncall.explain.marks import Marks, asked_again_at
from sagactl.oncall.explain.sent import KINDS
from services.order import refunds, steps
from services.order.commands import CancelOrder, RequestRefund, TimeOut
from services.order.histories import QUEUE_OF
from services.order.model import Order, RefundLine
from services.order.saga import SAGA
from services.payment.payment import UNDECIDED
from services.shared.contract import events
from services.shared.contract.events import PUBLISHES, Event
from services.shared.contract.table import STAYS, Emit, Guard, Step

# What each word of the table publishes.
EMITS: Final[dict[Emit, type[Event]]] = {
    steps.reserve_stock: events.ReserveStock,
    steps.order_confirmed: events.OrderConfirmed,
    steps.order_paid: events.OrderPaid,
    steps.order_cancelled: events.OrderCancelled,
    refunds.order_partially_refunded: events.OrderPartiallyRefunded,
    refunds.order_refunded: events.OrderRefunded,
    steps.release_stock: events.ReleaseStock,
    steps.release_late: events.ReleaseStock,
    refunds.release_refunded: events.ReleaseStock,
    refunds.refund_requested: events.RefundRequested,
    refunds.refund_payment: events.RefundPayment,
    refunds.payment_settled: events.RefundPayment,
    steps.refund_capture: events.RefundPayment,
    steps.refund_late_capture: events.RefundPayment,
    steps.shipment_approved: events.ShipmentApproved,
}
# Guards that the order alone decides, whatever the event says.
OF_THE_ORDER: Final[frozenset[Guard]] = frozenset(
    {
        steps.no_capture_yet,
        steps.captured_oddly,
        steps.refund_open,
        steps.refund_done,
        steps.is_shipped,
        steps.nothing_left_to_ship,
    }
)
# What may be answered to what, by whom.
ANSWERS: Final[dict[str, tuple[type[Event], ...]]] = {
    events.ReserveStock.type: (events.StockReserved, events.StockUnavailable),
    events.ReleaseStock.type: (events.StockReleased,),
    events.OrderConfirmed.type: (events.PaymentSucceeded, events.PaymentFailed, events.PaymentPending),
    events.RefundPayment.type: (events.PaymentRefunded, events.PaymentRefundFailed),
    # By inventory, where it hears of it itself.
    events.PaymentFailed.type: (events.StockReleased,),
}
PUBLISHER: Final = {event.type: service for service, kinds in PUBLISHES.items() for event in kinds}


def what_comes(marks: Marks, chain: Sequence[Hop]) -> Iterator[Next]:
    """The events that reach the order once the hops that are open go on, in the order of the hops."""
    order = marks.case.order
    if order is None:
        return
    awaited: dict[str, None] = {}
    for hop in chain:
        if hop.state not in OPEN:
            continue
        if hop.consumer == "order":
            awaited.setdefault(hop.type)
        elif hop.queue in QUEUES.get(hop.type, ()):
            awaited.update(dict.fromkeys(event.type for event in ANSWERS.get(hop.type, ())))
    awaited.update(dict.fromkeys(_by_the_clock(marks)))
    for type_ in awaited:
        if type_ in QUEUE_OF:
            yield Next(type_, PUBLISHER[type_], QUEUE_OF[type_], tuple(_effects(order, type_)))


def _by_the_clock(marks: Marks) -> Sequence[str]:
    """What payment may say once it has asked the gateway again of itself: no message is on its way. That a
    refund was refused it has told before.
    """
    payment = marks.case.payment
    if payment is None or asked_again_at(marks) is None:
        return ()
    if payment.state in UNDECIDED:
        return events.PaymentSucceeded.type, events.PaymentFailed.type
    return (events.PaymentRefunded.type,)


def _effects(order: Order, type_: str) -> Iterator[str]:
    for row in SAGA.cells[order.status, KINDS[type_]]:
        # Of a guard that looks only at the order, its event is not needed.
        excluded = row.when in OF_THE_ORDER and not row.when(order, None)
        if isinstance(row, Step) and not excluded:
            to = order.status if row.to is STAYS else row.to
            published = ", ".join(EMITS[emit].type for emit in row.emit)
            emits = f", emits {published}" if published else ""
            yield f"stays {to}{emits}" if to == order.status else f"{order.status} -> {to}{emits}"


def actions(marks: Marks) -> Iterator[Action]:
    order = marks.case.order
    if order is None:
        return
    commands: dict[str, CancelOrder | RequestRefund | TimeOut] = {
        "cancel": CancelOrder(order_id=order.id, customer_id=None),
        "refund": RequestRefund(order_id=order.id, customer_id=None, reason="", refund_request_id=""),
        "compensate": TimeOut(order_id=order.id, status=order.status, older_than=0, reason=""),
    }
    for name, command in commands.items():
        found = action(name, order, command, marks)
        if found.allowed and isinstance(command, RequestRefund):
            found = structs.replace(found, says=f"{found.says}{_of_lines(order, command, marks)}")
        yield found


def action(name: str, order: Order, command: CancelOrder | RequestRefund | TimeOut, marks: Marks) -> Action:
    """Whether the table allows this command, and what it would do."""
    would = preview.of_command(order, command, marks)
    says = f"the order is {order.status} already" if would.outcome is Outcome.NOTHING else would.says
    return Action(name, would.outcome is Outcome.APPLIES, says, would.emits)


def _of_lines(order: Order, refund: RequestRefund, marks: Marks) -> str:
    """What a refund of some pieces would do, where there are more of them."""
    there = refunds.left(order)
    if there.total() <= 1:
        return ""
    piece = RefundLine(there.most_common(1)[0][0], 1)
    would = preview.of_command(order, structs.replace(refund, lines=(piece,)), marks)
    return f" (of some pieces: {would.says})"
