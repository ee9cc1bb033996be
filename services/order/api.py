"""The order service's public routes."""

import uuid
from http import HTTPStatus
from typing import Annotated, Final

import msgspec
from fastapi import APIRouter, Depends, Query, Request, Response

from services.order import queries
from services.order.bodies import NewOrder, OrderBody, OrderPage, RefundReason, Timeline, order_body
from services.order.catalogue import Catalogue
from services.order.commands import CancelOrder, CreateOrder, RequestRefund
from services.order.domain import NO_SUCH_ORDER
from services.order.model import Line, Order, Status
from services.shared.contract import money
from services.shared.contract.decisions import NotFound, Unavailable
from services.shared.contract.idempotency import IdempotencyKey, earlier_subject, key_id, request_hash
from services.shared.engine.life import Engine, TheEngine
from services.shared.http.app import IDEMPOTENT, Caller, IdempotencyKeyHeader
from services.shared.http.auth import User
from services.shared.http.bodies import Id
from services.shared.http.cursors import LONGEST, cursor_of
from services.shared.http.problems import problem

router = APIRouter(prefix="/api/orders", tags=["orders"])
_encode: Final = msgspec.json.Encoder().encode


async def _catalogue(request: Request) -> Catalogue:
    catalogue: Catalogue = request.app.state.catalogue
    return catalogue


def _answer(body: object, status: HTTPStatus = HTTPStatus.OK, **headers: str) -> Response:
    return Response(_encode(body), status, headers, "application/json")


def _theirs(caller: User) -> str | None:
    """Whose orders the caller may see: an administrator, everybody's."""
    return None if caller.is_admin else caller.id


@router.post("", status_code=HTTPStatus.CREATED, response_model=OrderBody, openapi_extra=IDEMPOTENT)
async def create_order(
    order: NewOrder,
    caller: Caller,
    engine: TheEngine,
    catalogue: Annotated[Catalogue, Depends(_catalogue)],
    idempotency_key: IdempotencyKeyHeader,
) -> Response:
    """Takes an order; it is PENDING until its stock is reserved. The same Idempotency-Key gives it again."""
    request = request_hash(order.model_dump()) if idempotency_key else ""
    if idempotency_key and (earlier := await _earlier(engine, caller.id, idempotency_key, request)):
        return _created(earlier)
    products = await catalogue.products(order.ids)
    asked = zip(order.ids, order.quantities, strict=True)
    unknown = [id_ for id_, product in products.items() if product is None]
    if unknown:
        return problem(
            HTTPStatus.UNPROCESSABLE_ENTITY, f"unknown products: {', '.join(unknown)}", unknown=unknown
        )
    priced = [(product, quantity) for id_, quantity in asked if (product := products[id_]) is not None]
    currencies = sorted({product.currency for product, _ in priced})
    if len(currencies) > 1:
        return problem(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            f"an order is in one currency, not {' and '.join(currencies)}: place one order for each",
        )
    if sum(product.minor_price * quantity for product, quantity in priced) > money.LARGEST:
        return problem(HTTPStatus.UNPROCESSABLE_ENTITY, "the order's total is too large")
    order_id = str(uuid.uuid4())
    command = CreateOrder(
        order_id=order_id,
        customer_id=caller.id,
        email=caller.email,
        lines=tuple(Line(product.product_id, quantity, product.minor_price) for product, quantity in priced),
        currency=currencies[0],
        fulfilment=order.fulfilment,
        payment_token=order.payment_token,
        key=idempotency_key,
        request_hash=request,
    )
    decision = await engine.execute(command, id_=order_id)
    return _created(await _placed(engine, decision.reply, command))


async def _placed(engine: Engine, reply: object, command: CreateOrder) -> Order:
    """The order that a command placed; read anew where its answer was lost on the way.

    By its key first: the command may have been a replay. Raises Unavailable where there is no such order.
    """
    if isinstance(reply, Order):
        return reply
    if command.key is not None:
        earlier = await _earlier(engine, command.customer_id, command.key, command.request_hash)
        if earlier is not None:
            return earlier
    placed = await engine.store.get(Order, command.order_id)
    if placed is None:
        raise Unavailable("it is not known whether the order was placed: try again, with the same key")
    return placed


async def _earlier(engine: Engine, customer_id: str, key: str, asked: str) -> Order | None:
    """The order that this key gave before. Raises KeyReused."""
    found = await engine.store.get(IdempotencyKey, key_id(customer_id, key))
    order_id = earlier_subject(found, asked, engine.clock.now())
    return None if order_id is None else await engine.store.get(Order, order_id)


def _created(order: Order) -> Response:
    return _answer(order_body(order), HTTPStatus.CREATED, Location=f"/api/orders/{order.id}")


async def _after(engine: Engine, reply: object, order_id: str) -> Order:
    """The order that a command answered with; read anew where its first answer was lost on the way."""
    if isinstance(reply, Order):
        return reply
    order = await engine.store.get(Order, order_id)
    if order is None:
        raise NotFound(NO_SUCH_ORDER)
    return order


@router.get("", response_model=OrderPage)
async def list_orders(
    caller: Caller,
    engine: TheEngine,
    status: Status | None = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    cursor: Annotated[str | None, Query(max_length=LONGEST)] = None,
) -> Response:
    """The newest first."""
    after = cursor_of(cursor)
    orders, following = await queries.page(engine.store, _theirs(caller), status, limit, after)
    return _answer(
        {"items": [order_body(order) for order in orders], "nextCursor": following and following.encode()}
    )


async def _visible(order_id: Id, caller: Caller, engine: TheEngine) -> Order:
    order = await queries.of(engine.store, order_id, _theirs(caller))
    if order is None:
        raise NotFound(NO_SUCH_ORDER)
    return order


Visible = Annotated[Order, Depends(_visible)]


@router.get("/{order_id}", response_model=OrderBody)
async def get_order(order: Visible) -> Response:
    return _answer(order_body(order))


@router.get("/{order_id}/timeline", response_model=Timeline)
async def get_timeline(order: Visible) -> Response:
    """Every step of the order: what happened, when, and the trace it belongs to."""
    return _answer({"items": order.history})


@router.post("/{order_id}/cancel", status_code=HTTPStatus.ACCEPTED, response_model=OrderBody)
async def cancel_order(order_id: Id, caller: Caller, engine: TheEngine) -> Response:
    """Cancels an order that is not paid yet; its stock goes back. 409 once it is paid."""
    command = CancelOrder(order_id=order_id, customer_id=_theirs(caller))
    decision = await engine.execute(command, id_=str(uuid.uuid4()))
    return _answer(order_body(await _after(engine, decision.reply, order_id)), HTTPStatus.ACCEPTED)


@router.post("/{order_id}/refund", status_code=HTTPStatus.ACCEPTED, response_model=OrderBody)
async def refund_order(order_id: Id, refund: RefundReason, caller: Caller, engine: TheEngine) -> Response:
    """Gives the money back, then the stock. 409 unless the order is paid."""
    command = RequestRefund(order_id=order_id, customer_id=_theirs(caller), reason=refund.reason)
    decision = await engine.execute(command, id_=str(uuid.uuid4()))
    return _answer(order_body(await _after(engine, decision.reply, order_id)), HTTPStatus.ACCEPTED)
