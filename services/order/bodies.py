"""What goes in and out of the order service over HTTP."""

from datetime import datetime
from typing import Annotated, Any, Final, Self

from pydantic import Field, StringConstraints, model_validator

from services.order.domain import Compensation
from services.order.model import LineState, Order, Progress, Status
from services.shared.contract import money
from services.shared.contract.events import Fulfilment
from services.shared.http.bodies import Body, Id, View

MOST_LINES: Final = 50
MOST_PIECES: Final = 100_000

Quantity = Annotated[int, Field(ge=1, le=MOST_PIECES, strict=True)]
Reason = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class NewOrder(Body):
    """`quantities` go with `ids`, one for one. Prices are ours."""

    ids: Annotated[list[Id], Field(min_length=1, max_length=MOST_LINES)]
    quantities: Annotated[list[Quantity], Field(min_length=1, max_length=MOST_LINES)]
    fulfilment: Fulfilment = "all"
    payment_token: Annotated[str, StringConstraints(min_length=1, max_length=200)] | None = None

    @model_validator(mode="after")
    def check(self) -> Self:
        if len(self.ids) != len(self.quantities):
            raise ValueError(f"{len(self.ids)} ids, but {len(self.quantities)} quantities: give one for each")
        twice = sorted({id_ for id_ in self.ids if self.ids.count(id_) > 1})
        if twice:
            raise ValueError(f"named twice: {', '.join(twice)}: add up their quantities")
        return self


class RefundReason(Body):
    reason: Reason


class Compensate(Body):
    """Only an order that is still in `status`, and has been for `olderThan` seconds, is compensated."""

    reason: Reason = "SAGA_TIMEOUT"
    status: Status = Status.CONFIRMED
    older_than: Annotated[float, Field(ge=0, le=10**9)] = 0


class LineBody(View):
    product_id: str
    quantity: int
    price: str
    state: LineState


class CompensationBody(View):
    stock: Progress
    refund: Progress


class OrderBody(View):
    order_id: str
    status: Status
    settled: bool
    compensation: CompensationBody
    fulfilment: str
    total_price: str
    currency: str
    products: list[LineBody]
    cancellation_reason: str | None
    cancellation_detail: str | None
    created_at: datetime
    updated_at: datetime


class OrderPage(View):
    items: list[OrderBody]
    next_cursor: str | None


class EntryBody(View):
    at: datetime
    event: str
    from_: Annotated[Status | None, Field(alias="from")]
    to: Status
    event_id: str
    trace_id: str | None


class Timeline(View):
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


def order_body(order: Order) -> dict[str, Any]:
    """An `OrderBody`, as plain data: this is on the hot path, and needs no second validation."""
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
                "quantity": line.quantity,
                "price": str(money.to_decimal(line.price, order.currency)),
                "state": line.state,
            }
            for line in order.lines
        ],
        "cancellationReason": order.cancellation_reason,
        "cancellationDetail": order.cancellation_detail,
        "createdAt": order.created_at,
        "updatedAt": order.updated_at,
    }
