"""Orders and what may come to them, made by hand: no test of the saga is set up by the saga itself."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from msgspec import structs

from services.order.commands import CancelOrder, CreateOrder, RequestRefund, TimeOut
from services.order.model import Capture, Entry, Line, LineState, Order, Progress, Release, Status
from services.shared.contract import events
from services.shared.contract.decisions import Message
from services.shared.contract.events import Missing

CREATED_AT: Final = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
AT: Final = CREATED_AT + timedelta(minutes=1)
ORDER_ID: Final = "order-1"
CUSTOMER: Final = "ann"
TOTAL: Final = 45000  # 2 lamps at 100.00 and a desk at 250.00

# --- orders -----------------------------------------------------------------------------------------------


def order(status: Status, lamp: LineState, desk: LineState, **changes: Any) -> Order:
    """Two lamps and a desk."""
    return structs.replace(
        Order(
            id=ORDER_ID,
            customer_id=CUSTOMER,
            email="ann@example.com",
            status=status,
            state_since=CREATED_AT,
            lines=(Line("lamp", 2, 10000, lamp), Line("desk", 1, 25000, desk)),
            currency="USD",
            total=TOTAL,
            fulfilment="all",
            payment_token="tok_success",
            history=(Entry(CREATED_AT, "ORDER_CREATED", None, Status.PENDING, ORDER_ID),),
            created_at=CREATED_AT,
            updated_at=CREATED_AT,
        ),
        **changes,
    )


_REQUESTED, _HELD, _REFUSED = LineState.REQUESTED, LineState.HELD, LineState.REFUSED
_SOLD, _RELEASED = LineState.SOLD, LineState.RELEASED
_PAID_BY: Final[dict[str, Any]] = {"capture": Capture("txn_1", TOTAL, "USD")}

PENDING: Final = order(Status.PENDING, _REQUESTED, _REQUESTED)
PENDING_LAMP_HELD: Final = order(Status.PENDING, _HELD, _REQUESTED)
PENDING_PARTIAL: Final = order(Status.PENDING, _REQUESTED, _REQUESTED, fulfilment="partial")
PENDING_PARTIAL_LAMP_HELD: Final = order(Status.PENDING, _HELD, _REQUESTED, fulfilment="partial")
PENDING_PARTIAL_LAMP_MISSING: Final = order(
    Status.PENDING, _REFUSED, _REQUESTED, fulfilment="partial", total=25000
)
CONFIRMED: Final = order(Status.CONFIRMED, _HELD, _HELD)
CONFIRMED_PARTIAL: Final = order(Status.CONFIRMED, _HELD, _REFUSED, fulfilment="partial", total=20000)
# Captured, but not as asked: 449.99, of which the customer has nothing yet.
CONFIRMED_CAPTURED: Final = order(Status.CONFIRMED, _HELD, _HELD, capture=Capture("txn_1", 44999, "USD"))
CONFIRMED_GIVEN_BACK: Final = order(Status.CONFIRMED, _RELEASED, _RELEASED)
PAID: Final = order(Status.PAID, _SOLD, _SOLD, **_PAID_BY)
PAID_PARTIAL: Final = order(
    Status.PAID,
    _SOLD,
    _REFUSED,
    fulfilment="partial",
    total=20000,
    capture=Capture("txn_1", 20000, "USD"),
)
REFUSED: Final = order(Status.CANCELLED, _REFUSED, _REFUSED, cancellation_reason="OUT_OF_STOCK")
CANCELLED: Final = order(
    Status.CANCELLED,
    _HELD,
    _HELD,
    cancellation_reason="SAGA_TIMEOUT",
    releases=(Release("timeout"),),
)
# Before inventory was heard.
CANCELLED_UNANSWERED: Final = order(
    Status.CANCELLED,
    _REQUESTED,
    _REQUESTED,
    cancellation_reason="CUSTOMER_CANCELLED",
    releases=(Release("cancel"),),
)
CANCELLED_GIVEN_BACK: Final = order(
    Status.CANCELLED,
    _RELEASED,
    _RELEASED,
    cancellation_reason="SAGA_TIMEOUT",
    releases=(Release("timeout", "answer"),),
)
CANCELLED_CAPTURED: Final = structs.replace(CANCELLED_GIVEN_BACK, refund=Progress.PENDING, **_PAID_BY)
CANCELLED_MONEY_BACK: Final = structs.replace(CANCELLED_GIVEN_BACK, refund=Progress.DONE, **_PAID_BY)
REFUNDING: Final = order(Status.REFUNDING, _SOLD, _SOLD, refund=Progress.PENDING, **_PAID_BY)
REFUNDING_PARTIAL: Final = structs.replace(PAID_PARTIAL, status=Status.REFUNDING, refund=Progress.PENDING)
REFUNDING_MONEY_BACK: Final = structs.replace(
    REFUNDING, refund=Progress.DONE, releases=(Release("money back"),)
)
REFUNDED: Final = order(
    Status.REFUNDED,
    _RELEASED,
    _RELEASED,
    refund=Progress.DONE,
    releases=(Release("money back", "answer"),),
    **_PAID_BY,
)

# --- what comes to them -----------------------------------------------------------------------------------


def reserved(*missing: Missing, order_id: str = ORDER_ID, **quantities: int) -> events.StockReserved:
    lines = tuple(events.Line(product, quantity) for product, quantity in quantities.items())
    return events.StockReserved(order_id=order_id, products=lines, missing=missing)


def released(**quantities: int) -> events.StockReleased:
    lines = tuple(events.Line(product, quantity) for product, quantity in quantities.items())
    return events.StockReleased(order_id=ORDER_ID, products=lines)


def captured(
    amount: str = "450.00", currency: str = "USD", transaction: str = "txn_1"
) -> events.PaymentSucceeded:
    return events.PaymentSucceeded(
        order_id=ORDER_ID, transaction_id=transaction, amount=Decimal(amount), currency=currency
    )


BOTH_RESERVED: Final = reserved(lamp=2, desk=1)
LAMP_RESERVED: Final = reserved(lamp=2)
DESK_RESERVED: Final = reserved(desk=1)
LAMP_WITHOUT_DESK: Final = reserved(Missing("desk", 1, 0), lamp=2)
STRANGE_RESERVED: Final = reserved(sofa=1)
WRONG_QUANTITY: Final = reserved(lamp=3, desk=1)
UNAVAILABLE: Final = events.StockUnavailable(
    order_id=ORDER_ID,
    missing=(Missing("desk", 1, 0),),
    reason="Insufficient stock. Available: 0, Requested: 1",
)
DESK_UNAVAILABLE: Final = events.StockUnavailable(
    order_id=ORDER_ID,
    missing=(),
    reason="Insufficient stock. Available: 0, Requested: 1",
    product_id="desk",
)
BOTH_RELEASED: Final = released(lamp=2, desk=1)
NOTHING_RELEASED: Final = released()
CAPTURED: Final = captured()
CAPTURED_ANOTHER_AMOUNT: Final = captured("449.99")
CAPTURED_ANOTHER_CURRENCY: Final = captured(currency="EUR")
CAPTURED_AGAIN: Final = captured(transaction="txn_2")
SOFA_UNAVAILABLE: Final = structs.replace(DESK_UNAVAILABLE, product_id="sofa")
DECLINED: Final = events.PaymentFailed(
    order_id=ORDER_ID,
    transaction_id="txn_1",
    amount=Decimal("450.00"),
    currency="USD",
    reason="Mock gateway declined the payment",
)
MONEY_BACK: Final = events.PaymentRefunded(
    order_id=ORDER_ID,
    transaction_id="txn_1",
    refund_id="ref_1",
    amount=Decimal("450.00"),
    currency="USD",
)
CANCEL: Final = CancelOrder(order_id=ORDER_ID, customer_id=CUSTOMER)
REFUND: Final = RequestRefund(order_id=ORDER_ID, customer_id=CUSTOMER, reason="it flickers")


def time_out(status: Status = Status.CONFIRMED, older_than: float = 0) -> TimeOut:
    return TimeOut(order_id=ORDER_ID, status=status, older_than=older_than, reason="stuck for 300 s")


def create(**changes: Any) -> CreateOrder:
    return structs.replace(
        CreateOrder(
            order_id=ORDER_ID,
            customer_id=CUSTOMER,
            email="ann@example.com",
            lines=(Line("lamp", 2, 10000), Line("desk", 1, 25000)),
            currency="USD",
            fulfilment="all",
            payment_token="tok_success",
        ),
        **changes,
    )


def message(body: object, id_: str = "event-1", at: datetime = AT) -> Message:
    traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    return Message(id=id_, source="orders", body=body, at=at, traceparent=traceparent)
