"""What goes in and out of the order service over HTTP."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Final

import msgspec
from pydantic import AfterValidator, Field, StringConstraints, ValidationInfo, field_validator

from services.order import examples
from services.order.domain import Compensation
from services.order.model import (
    CancellationReason,
    HistoryEntry,
    LineState,
    Order,
    Progress,
    Refund,
    RefundLine,
    RefundState,
    Restocking,
    Status,
)
from services.order.payment_tokens import PaymentToken
from services.order.refunds import refunded, returned
from services.shared.contract import money
from services.shared.contract.audit import Kind
from services.shared.contract.events import Fulfilment
from services.shared.http.auth import User
from services.shared.http.bodies import Body, Id, View
from services.shared.http.rights import Right

MOST_LINES: Final = 50
MOST_PIECES: Final = 100_000
# In JSON, for an answer and for an event of the live stream.
encoded: Final = msgspec.json.Encoder().encode

Quantity = Annotated[int, Field(ge=1, le=MOST_PIECES, strict=True)]
Reason = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class NewOrder(Body, json_schema_extra={"examples": [examples.NEW_ORDER]}):
    """`quantities` has one entry for each of `ids`. The shop sets the prices."""

    ids: Annotated[
        list[Id],
        Field(
            min_length=1,
            max_length=MOST_LINES,
            json_schema_extra={"x-allowed": f"a list of 1 to {MOST_LINES} ids of products"},
        ),
    ]
    quantities: Annotated[
        list[Quantity],
        Field(
            min_length=1,
            max_length=MOST_LINES,
            json_schema_extra={"x-allowed": "a list of whole numbers, one for each of ids"},
        ),
    ]
    fulfilment: Fulfilment = "all"
    payment_token: PaymentToken | None = None

    @field_validator("ids")
    @classmethod
    def _each_once(cls, ids: list[str]) -> list[str]:
        _check_each_once(ids)
        return ids

    @field_validator("quantities")
    @classmethod
    def _one_for_each(cls, quantities: list[int], info: ValidationInfo) -> list[int]:
        ids = info.data.get("ids", quantities)
        if len(ids) != len(quantities):
            raise ValueError(f"{len(ids)} ids, but {len(quantities)} quantities: give one for each")
        return quantities


def _check_each_once(ids: Sequence[str]) -> None:
    """Raises ValueError."""
    twice = sorted({id_ for id_ in ids if ids.count(id_) > 1})
    if twice:
        raise ValueError(f"named twice: {', '.join(twice)}: add up their quantities")


class CancelledLine(Body):
    product_id: Id
    quantity: Quantity


class RefundedLine(CancelledLine):
    restock: Annotated[
        Restocking, Field(description="`return`: the goods can be sold again; `none`: they do not come back")
    ] = Restocking.RETURN


def _each_once(lines: Sequence[CancelledLine]) -> Sequence[CancelledLine]:
    _check_each_once([line.product_id for line in lines])
    return lines


_SOME: Final = Field(min_length=1, max_length=MOST_LINES)


class RefundRequest(Body, json_schema_extra={"examples": [examples.REFUND]}):
    """A refund of `lines`, which needs an Idempotency-Key; without `lines`, of everything that is left."""

    reason: Reason
    lines: Annotated[list[RefundedLine], _SOME, AfterValidator(_each_once)] | None = None

    @property
    def asked(self) -> tuple[RefundLine, ...]:
        return tuple(RefundLine(line.product_id, line.quantity, line.restock) for line in self.lines or ())


class Cancellation(Body, json_schema_extra={"examples": [examples.CANCELLATION]}):
    """With `lines`, these lines of a paid order are refunded and returned to stock. Without `lines`, or
    without a body, the whole order is cancelled.
    """

    reason: Reason = CancellationReason.CUSTOMER_CANCELLED
    lines: Annotated[list[CancelledLine], _SOME, AfterValidator(_each_once)] | None = None

    @property
    def asked(self) -> tuple[RefundLine, ...]:
        return tuple(RefundLine(line.product_id, line.quantity) for line in self.lines or ())


class Settlement(Body, json_schema_extra={"examples": [examples.SETTLEMENT]}):
    reference: Annotated[Reason, Field(description="Identifies the transfer")]
    reason: Reason


class Compensate(Body):
    """Only an order that is still in `status`, and has been for `olderThan` seconds, is compensated."""

    reason: Reason = "SAGA_TIMEOUT"
    status: Status = Status.CONFIRMED
    older_than: Annotated[float, Field(ge=0, le=10**9)] = 0


class CustomerBody(View):
    customer_id: str
    email: str


class LineBody(View):
    product_id: str
    name: Annotated[str, Field(description="The name of the product when it was ordered")]
    quantity: int
    price: str
    state: LineState
    refunded: Annotated[int, Field(description="Pieces whose money was refunded")]
    returned: Annotated[int, Field(description="Pieces that were returned and can be sold again")]
    shipped: Annotated[
        int, Field(description="Pieces that were sent to the customer, or may be sent at any time")
    ]


class RefundedLineBody(View):
    product_id: str
    quantity: int
    restock: Restocking


class RefundBody(View):
    refund_request_id: str
    lines: Annotated[
        list[RefundedLineBody],
        Field(description="Empty if the order was cancelled, because nothing was sold"),
    ]
    amount: str
    state: RefundState
    reason: Annotated[str, Field(description="The reason that was given in the request")]
    refusal: Annotated[
        str | None,
        Field(description="While REFUSED: the payment gateway's reason. The refund is retried"),
    ]
    settled_outside: Annotated[
        str | None, Field(description="The reference of the transfer that refunded the money instead")
    ]


class CompensationBody(View):
    stock: Progress
    refund: Progress


class NextActionBody(View):
    type: str
    url: Annotated[str, Field(description="Where the customer confirms the payment")]
    expires_at: datetime | None


class OrderBody(View, json_schema_extra={"examples": [examples.ORDER]}):
    order_id: str
    status: Status
    settled: bool
    compensation: CompensationBody
    fulfilment: Fulfilment
    total_price: str
    currency: str
    products: list[LineBody]
    cancellation_reason: CancellationReason | None
    cancellation_detail: Annotated[str | None, Field(description="The reason that was given")]
    refund_reason: Annotated[str | None, Field(description="The reason that was given in the latest request")]
    refunds: list[RefundBody]
    next_action: Annotated[
        NextActionBody | None,
        Field(
            description="What the customer has to do before the payment is decided; only the customer sees it"
        ),
    ]
    reserved_until: Annotated[
        datetime | None, Field(description="Until when stock is held for a payment that is decided later")
    ]
    customer: Annotated[CustomerBody | None, Field(description="Shown to administrators")] = None
    created_at: datetime
    updated_at: datetime


class OrderPage(View, json_schema_extra={"examples": [examples.ORDER_PAGE]}):
    items: list[OrderBody]
    next_cursor: str | None


class LineChangeBody(View):
    product_id: str
    to: LineState


class ActorBody(View):
    id: str
    kind: Kind
    roles: list[str]


class EntryBody(View):
    at: datetime
    event: str
    from_: Annotated[Status | None, Field(alias="from")]
    to: Status
    reason: str | None
    lines: Annotated[
        list[LineChangeBody],
        Field(description="The lines that changed; empty if all lines changed in the same way"),
    ]
    refund_request_id: Annotated[str | None, Field(description="The refund that the step belongs to")]
    trace_id: str | None
    event_id: Annotated[str | None, Field(description="Shown to administrators")] = None
    actor: Annotated[ActorBody | None, Field(description="Who requested it; shown to administrators")] = None


class Timeline(View, json_schema_extra={"examples": [examples.TIMELINE]}):
    items: list[EntryBody]


class StaleOrder(View):
    order_id: str
    status: Status
    state_since: datetime


class StaleOrders(View):
    orders: list[StaleOrder]


class CompensationAnswer(View):
    order_id: str
    status: Status
    outcome: Compensation


class AttentionEntry(View):
    at: datetime
    event: str
    event_id: str
    reason: str


class AttentionOrder(View):
    order_id: str
    status: Status
    attention: list[AttentionEntry]


class AttentionOrders(View):
    orders: list[AttentionOrder]


def order_body(order: Order, caller: User) -> dict[str, Any]:
    """An `OrderBody`, as plain data: this is on the hot path, and needs no second validation."""
    back, came = refunded(order), returned(order)
    shipped = {line.product_id: line.quantity for line in order.shipped}
    customer = {"customer": {"customerId": order.customer_id, "email": order.email}}
    return {
        "orderId": order.id,
        "status": order.status,
        "settled": order.settled,
        "compensation": {"stock": order.stock_compensation, "refund": order.refund},
        "fulfilment": order.fulfilment,
        "totalPrice": str(money.to_decimal(order.total, order.currency)),
        "currency": order.currency,
        "products": [
            {
                "productId": line.product_id,
                "name": line.name,
                "quantity": line.quantity,
                "price": str(money.to_decimal(line.price, order.currency)),
                "state": line.state,
                "refunded": back[line.product_id],
                "returned": came[line.product_id],
                "shipped": shipped.get(line.product_id, 0),
            }
            for line in order.lines
        ],
        "cancellationReason": order.cancellation_reason,
        "cancellationDetail": order.cancellation_detail,
        "refundReason": order.refund_reason,
        "refunds": [_refund_body(order, refund) for refund in order.given_back],
        "nextAction": _next_action_body(order, caller),
        "reservedUntil": order.reserved_until,
        **(customer if caller.may(Right.READ_ORDERS) else {}),
        "createdAt": order.created_at,
        "updatedAt": order.updated_at,
    }


def _next_action_body(order: Order, caller: User) -> dict[str, Any] | None:
    """For the customer's own eyes: whoever has the URL may act for them."""
    action = order.pending_payment.next_action if order.pending_payment else None
    if action is None or caller.id != order.customer_id:
        return None
    return {"type": action.type, "url": action.url, "expiresAt": action.expires_at}


def _refund_body(order: Order, refund: Refund) -> dict[str, Any]:
    return {
        "refundRequestId": refund.id,
        "lines": [
            {"productId": line.product_id, "quantity": line.quantity, "restock": line.restock}
            for line in refund.lines
        ],
        "amount": str(money.to_decimal(refund.amount, order.refund_currency)),
        "state": refund.state,
        "reason": refund.reason,
        "refusal": refund.refusal if refund.state is RefundState.REFUSED else None,
        "settledOutside": refund.outside or None,
    }


def entry_body(entry: HistoryEntry, caller: User) -> dict[str, Any]:
    """An `EntryBody`, as plain data."""
    return {
        "at": entry.at,
        "event": entry.event,
        "from": entry.from_,
        "to": entry.to,
        "reason": entry.reason,
        "lines": entry.lines,
        "refundRequestId": entry.refund,
        "traceId": entry.trace_id,
        **(_for_staff(entry) if caller.may(Right.READ_ORDERS) else {}),
    }


def _for_staff(entry: HistoryEntry) -> dict[str, Any]:
    actor = entry.actor
    shown = None if actor is None else {"id": actor.id, "kind": actor.kind, "roles": actor.roles}
    return {"eventId": entry.event_id, "actor": shown}
