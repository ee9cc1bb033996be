"""Orders and what may come to them, made by hand: no test of the saga is set up by the saga itself."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from msgspec import structs

from services.order.commands import CancelOrder, CreateOrder, RequestRefund, SettleOutside, TimeOut
from services.order.model import (
    Capture,
    HistoryEntry,
    Line,
    LineState,
    Order,
    PendingPayment,
    Progress,
    Refund,
    RefundLine,
    RefundState,
    Release,
    Restocking,
    ShippedLine,
    Status,
)
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
            lines=(Line("lamp", 2, 10000, lamp, name="A lamp"), Line("desk", 1, 25000, desk, name="A desk")),
            currency="USD",
            total=TOTAL,
            fulfilment="all",
            payment_token="tok_success",
            history=(HistoryEntry(CREATED_AT, "ORDER_CREATED", None, Status.PENDING, ORDER_ID),),
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
# The payment gateway decides later.
CONFIRMED_PENDING: Final = order(Status.CONFIRMED, _HELD, _HELD, pending_payment=PendingPayment("txn_1"))
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

# --- orders some of which goes back -----------------------------------------------------------------------
# Those above are of older releases: they say only that all of it goes back.

_ASKED, _NO, _BACK, _DONE = RefundState.ASKED, RefundState.REFUSED, RefundState.MONEY_BACK, RefundState.DONE


def refund(id_: str, amount: int, state: RefundState, *lines: RefundLine, **more: Any) -> Refund:
    return Refund(id=id_, lines=lines, amount=amount, state=state, **more)


ONE_LAMP: Final = RefundLine("lamp", 1)
ONE_LAMP_KEPT: Final = RefundLine("lamp", 1, Restocking.NONE)
THE_REST: Final = (RefundLine("lamp", 1), RefundLine("desk", 1))


def lamp_back(state: RefundState, line: RefundLine = ONE_LAMP, **more: Any) -> Refund:
    return refund("lamp-back", 10000, state, line, **more)


def rest_back(state: RefundState, *lines: RefundLine, **more: Any) -> Refund:
    return refund("rest-back", 35000, state, *(lines or THE_REST), **more)


def paid(*refunds: Refund) -> Order:
    return structs.replace(PAID, refunds=refunds, refund=Progress.PENDING)


def refunding(*refunds: Refund) -> Order:
    return structs.replace(paid(*refunds), status=Status.REFUNDING)


PAID_LAMP_ASKED: Final = paid(lamp_back(_ASKED))
PAID_LAMP_KEPT_ASKED: Final = paid(lamp_back(_ASKED, ONE_LAMP_KEPT))
PAID_LAMP_REFUSED: Final = paid(lamp_back(_NO, refusal="blocked"))
PAID_LAMP_KEPT_REFUSED: Final = paid(lamp_back(_NO, ONE_LAMP_KEPT, refusal="blocked"))
PAID_LAMP_MONEY_BACK: Final = paid(lamp_back(_BACK))
PAID_LAMP_DONE: Final = paid(lamp_back(_DONE))
PAID_LAMP_AT_LAST: Final = paid(lamp_back(_BACK, attempt=1, refusal="blocked"))
PAID_LAMP_OUTSIDE: Final = paid(lamp_back(_BACK, outside="transfer 7"))
PAID_HUNDRED: Final = paid(*(refund(f"free-{number}", 0, _DONE) for number in range(100)))
REFUNDING_REST_ASKED: Final = refunding(lamp_back(_DONE), rest_back(_ASKED))
REFUNDING_BOTH_ASKED: Final = refunding(lamp_back(_ASKED), rest_back(_ASKED))
REFUNDING_REST_KEPT_ASKED: Final = refunding(
    lamp_back(_DONE), rest_back(_ASKED, ONE_LAMP_KEPT, RefundLine("desk", 1, Restocking.NONE))
)
REFUNDING_LAMP_KEPT_ASKED: Final = refunding(lamp_back(_ASKED, ONE_LAMP_KEPT), rest_back(_ASKED))
REFUNDING_REST_REFUSED: Final = refunding(lamp_back(_DONE), rest_back(_NO, refusal="blocked"))
REFUNDING_REST_KEPT_REFUSED: Final = refunding(
    lamp_back(_DONE),
    rest_back(_NO, ONE_LAMP_KEPT, RefundLine("desk", 1, Restocking.NONE), refusal="blocked"),
)
REFUNDING_LAMP_KEPT_REFUSED: Final = refunding(
    lamp_back(_NO, ONE_LAMP_KEPT, refusal="blocked"), rest_back(_ASKED)
)
REFUNDING_REST_MONEY_BACK: Final = refunding(lamp_back(_DONE), rest_back(_BACK))
REFUNDING_REST_AT_LAST: Final = refunding(lamp_back(_DONE), rest_back(_BACK, attempt=2))
REFUNDING_BOTH_MONEY_BACK: Final = refunding(lamp_back(_BACK), rest_back(_BACK))
REFUNDING_OUTSIDE: Final = refunding(lamp_back(_BACK, outside="transfer 7"), rest_back(_ASKED))
CANCELLED_REFUSED: Final = structs.replace(
    CANCELLED_CAPTURED, refunds=(refund(ORDER_ID, TOTAL, _NO, refusal="blocked"),)
)
CANCELLED_AT_LAST: Final = structs.replace(
    CANCELLED_MONEY_BACK, refunds=(refund(ORDER_ID, TOTAL, _DONE, attempt=1),)
)
CANCELLED_OUTSIDE: Final = structs.replace(
    CANCELLED_MONEY_BACK, refunds=(refund(ORDER_ID, TOTAL, _DONE, outside="transfer 7"),)
)
REFUNDED_AT_LAST: Final = structs.replace(REFUNDED, refunds=(refund("all-back", TOTAL, _DONE, attempt=1),))
REFUNDED_OUTSIDE: Final = structs.replace(
    REFUNDED, refunds=(refund("all-back", TOTAL, _DONE, outside="transfer 7"),)
)

ALL_SHIPPED: Final = (ShippedLine("lamp", 2), ShippedLine("desk", 1))
THE_REST_SHIPPED: Final = (ShippedLine("lamp", 1), ShippedLine("desk", 1))
PAID_SHIPPED: Final = structs.replace(PAID, shipped=ALL_SHIPPED)
# It should be REFUNDING by now.
PAID_ALL_ASKED: Final = paid(lamp_back(_ASKED), rest_back(_ASKED))
REFUNDING_SHIPPED: Final = structs.replace(REFUNDING, shipped=ALL_SHIPPED)
REFUNDED_SHIPPED: Final = structs.replace(REFUNDED, shipped=ALL_SHIPPED)

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
STRANGE_RELEASED: Final = released(sofa=1)
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
PAYMENT_PENDING: Final = events.PaymentPending(
    order_id=ORDER_ID, transaction_id="txn_1", amount=Decimal("450.00"), currency="USD"
)
AGREE: Final = events.NextAction("redirect", "https://bank.example/agree")
TO_BE_AGREED: Final = structs.replace(PAYMENT_PENDING, next_action=AGREE)
MONEY_BACK: Final = events.PaymentRefunded(
    order_id=ORDER_ID,
    transaction_id="txn_1",
    refund_id="ref_1",
    amount=Decimal("450.00"),
    currency="USD",
)
MAY_IT_BE_SHIPPED: Final = events.RequestShipment(order_id=ORDER_ID)
CANCEL: Final = CancelOrder(order_id=ORDER_ID, customer_id=CUSTOMER)
REFUND: Final = RequestRefund(
    order_id=ORDER_ID, customer_id=CUSTOMER, reason="it flickers", refund_request_id="all-back"
)
REFUND_LAMP: Final = structs.replace(REFUND, refund_request_id="lamp-back", lines=(ONE_LAMP,))
LAMP_KEPT: Final = structs.replace(REFUND_LAMP, lines=(ONE_LAMP_KEPT,))
REFUND_REST: Final = structs.replace(REFUND, refund_request_id="rest-back", lines=THE_REST)
REFUND_THREE_LAMPS: Final = structs.replace(REFUND, refund_request_id="more", lines=(RefundLine("lamp", 3),))


def money_back(id_: str | None, amount: str) -> events.PaymentRefunded:
    return structs.replace(MONEY_BACK, refund_request_id=id_, refund_id=f"ref_{id_}", amount=Decimal(amount))


def refund_failed(id_: str | None, amount: str) -> events.PaymentRefundFailed:
    return events.PaymentRefundFailed(
        order_id=ORDER_ID, refund_request_id=id_, amount=Decimal(amount), currency="USD", reason="blocked"
    )


def goods_back(id_: str | None, **quantities: int) -> events.StockReleased:
    return structs.replace(released(**quantities), refund_request_id=id_)


def settle(id_: str, reference: str = "transfer 7") -> SettleOutside:
    return SettleOutside(
        order_id=ORDER_ID, refund_request_id=id_, reference=reference, reason="the card was closed"
    )


LAMP_MONEY_BACK: Final = money_back("lamp-back", "100.00")
REST_MONEY_BACK: Final = money_back("rest-back", "350.00")
LAMP_FAILED: Final = refund_failed("lamp-back", "100.00")
REST_FAILED: Final = refund_failed("rest-back", "350.00")
ALL_FAILED: Final = refund_failed(None, "450.00")
LAMP_GOODS_BACK: Final = goods_back("lamp-back", lamp=1)
REST_GOODS_BACK: Final = goods_back("rest-back", lamp=1, desk=1)
SETTLE_LAMP: Final = settle("lamp-back")
SETTLE_REST: Final = settle("rest-back")
SETTLE_ALL: Final = settle(ORDER_ID)


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
