"""The order service's public routes."""

import uuid
from collections.abc import AsyncIterator, Mapping
from http import HTTPStatus
from typing import Annotated, Any, Final, NamedTuple

from fastapi import APIRouter, Depends, Query, Request, Response

from services.order import examples, feed, queries
from services.order.bodies import (
    Cancellation,
    NewOrder,
    OrderBody,
    OrderPage,
    RefundRequest,
    Settlement,
    Timeline,
    encoded,
    entry_body,
    order_body,
)
from services.order.catalogue import Catalogue
from services.order.commands import CancelOrder, CreateOrder, RequestRefund, SettleOutside, key_scope
from services.order.domain import NO_SUCH_ORDER, UnknownProducts, Unpriceable, price
from services.order.model import Order, RefundLine, Status
from services.order.pressure import Pressure
from services.order.watching import Watch, Watching, events
from services.shared.contract.codes import Code
from services.shared.contract.decisions import Decision, NotFound
from services.shared.contract.idempotency import (
    IdempotencyKey,
    Key,
    earlier_subject,
    key_of,
    request_hash,
)
from services.shared.database.new_id import new_id
from services.shared.engine.life import Engine, TheEngine
from services.shared.http.answers import EVENTS
from services.shared.http.auth import Forbidden, User
from services.shared.http.bodies import Id
from services.shared.http.cursors import LONGEST, cursor_of
from services.shared.http.dependencies import (
    IDEMPOTENT,
    LANGUAGE,
    REPLAYED,
    Caller,
    Holder,
    IdempotencyKeyHeader,
    Language,
    replay,
)
from services.shared.http.described import described
from services.shared.http.origin import by
from services.shared.http.problems import wrong
from services.shared.http.rights import Right, refusal
from services.shared.http.routing import Route
from services.shared.http.streams import UNBUFFERED, EventStream
from services.shared.http.validation import Fault

# What a body says that is not there.
THE_WHOLE: Final = Cancellation()
REFUSING_REFUNDS: Final = (
    Code.STATE_FORBIDS,
    Code.FORBIDDEN,
    Code.IDEMPOTENCY_KEY_REQUIRED,
    Code.IDEMPOTENCY_KEY_REUSED,
)
router = APIRouter(prefix="/api/orders", tags=["orders"], route_class=Route)
RESUMABLE: Final[dict[str, Any]] = {
    "parameters": [
        {
            "name": "Last-Event-ID",
            "in": "header",
            "required": False,
            "description": "The `id` of the last event received: the stream continues after it.",
            "schema": {"type": "string"},
        }
    ],
    "responses": {"200": {"content": {EVENTS: {"example": examples.EVENTS}}}},
}


async def _catalogue(request: Request) -> Catalogue:
    catalogue: Catalogue = request.app.state.catalogue
    return catalogue


async def _pressure(request: Request) -> Pressure:
    pressure: Pressure = request.app.state.pressure
    return pressure


def _answer(body: object, status: HTTPStatus = HTTPStatus.OK, **headers: str) -> Response:
    return Response(encoded(body), status, headers, "application/json")


def _theirs(caller: User) -> str | None:
    """Whose orders the caller may see: with the right to it, everybody's."""
    return None if caller.may(Right.READ_ORDERS) else caller.id


@router.post(
    "",
    status_code=HTTPStatus.CREATED,
    response_model=OrderBody,
    openapi_extra={"parameters": [*IDEMPOTENT["parameters"], LANGUAGE]},
    responses=described(
        [
            Code.UNKNOWN_PRODUCT,
            Code.MIXED_CURRENCIES,
            Code.TOTAL_TOO_LARGE,
            Code.IDEMPOTENCY_KEY_REUSED,
            Code.OVERLOADED,
        ]
    ),
)
async def create_order(  # FastAPI passes them by name
    order: NewOrder,
    caller: Caller,
    engine: TheEngine,
    catalogue: Annotated[Catalogue, Depends(_catalogue)],
    pressure: Annotated[Pressure, Depends(_pressure)],
    *,
    idempotency_key: IdempotencyKeyHeader,
    language: Language,
) -> Response:
    """Place an order, PENDING until its stock is reserved. The same Idempotency-Key gives the same order."""
    key = key_of(key_scope(CreateOrder, caller.id), idempotency_key, order.model_dump())
    if key and (earlier := await _earlier(engine, key)):
        return _created(earlier, caller, REPLAYED)
    pressure.check()
    asked = dict(zip(order.ids, order.quantities, strict=True))
    try:
        priced = price(asked, await catalogue.products(order.ids))
    except UnknownProducts as error:
        return wrong(error.code, _unknown(order, error), unknown=error.ids)
    except Unpriceable as error:
        return wrong(error.code, [Fault("body", ("ids",), str(error))])
    order_id = new_id()
    command = CreateOrder(
        order_id=order_id,
        customer_id=caller.id,
        email=caller.email,
        lines=priced.lines,
        currency=priced.currency,
        fulfilment=order.fulfilment,
        payment_token=order.payment_token,
        locale=language,
        key=key,
    )
    with pressure.waiting():
        decision = await engine.execute(command, id_=order_id)
    return _created(_order(decision), caller, replay(decision))


def _unknown(order: NewOrder, error: UnknownProducts) -> list[Fault]:
    return [Fault("body", ("ids", order.ids.index(id_)), f"there is no product {id_}") for id_ in error.ids]


def _order(decision: Decision) -> Order:
    order: Order = decision.reply  # type: ignore[assignment]  # what every command of an order answers with
    return order


async def _earlier(engine: Engine, key: Key) -> Order | None:
    """The order that this key gave before. Raises KeyReused."""
    found = await engine.store.get(IdempotencyKey, key.id)
    order_id = earlier_subject(found, key, engine.clock.now())
    return None if order_id is None else await engine.store.get(Order, order_id)


def _created(order: Order, caller: User, headers: Mapping[str, str]) -> Response:
    location = f"/api/orders/{order.id}"
    return _answer(order_body(order, caller), HTTPStatus.CREATED, Location=location, **headers)


@router.get("", response_model=OrderPage)
async def list_orders(
    caller: Caller,
    engine: TheEngine,
    status: Status | None = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    cursor: Annotated[str | None, Query(max_length=LONGEST)] = None,
) -> Response:
    """List orders, the newest first."""
    after = cursor_of(cursor)
    orders, following = await queries.page(engine.store, _theirs(caller), status, limit, after)
    return _answer(
        {
            "items": [order_body(order, caller) for order in orders],
            "nextCursor": following and following.encode(),
        }
    )


async def _visible(order_id: Id, caller: Caller, engine: TheEngine) -> Order:
    order = await queries.of(engine.store, order_id, _theirs(caller))
    if order is None:
        raise NotFound(NO_SUCH_ORDER)
    return order


Visible = Annotated[Order, Depends(_visible)]


async def _owner(engine: Engine, order_id: str, caller: User, right: Right) -> str | None:
    """Whose order it has to be for the caller to change it: with the right to it, anybody's.

    Raises Forbidden for who may see the order, and not change it.
    """
    if caller.may(right):
        return None
    if caller.may(Right.READ_ORDERS):
        order = await _visible(order_id, caller, engine)
        if order.customer_id != caller.id:
            raise Forbidden(refusal(right))
    return caller.id


@router.get("/{order_id}", response_model=OrderBody)
async def get_order(order: Visible, caller: Caller) -> Response:
    """One order of the caller; the shop's staff may read every order."""
    return _answer(order_body(order, caller))


@router.get("/{order_id}/timeline", response_model=Timeline)
async def get_timeline(order: Visible, caller: Caller) -> Response:
    """Every step of the order: what happened, when, and in which trace."""
    return _answer({"items": [entry_body(entry, caller) for entry in order.history]})


async def _watching(request: Request) -> Watching:
    watching: Watching = request.app.state.watching
    return watching


TheWatching = Annotated[Watching, Depends(_watching)]


async def _watch(order: Visible, caller: Caller, watching: TheWatching) -> AsyncIterator[Watch]:
    """Until the answer is through."""
    with watching.watch(order, caller) as watch:
        yield watch


@router.get(
    "/{order_id}/events",
    response_class=EventStream,
    openapi_extra=RESUMABLE,
    responses={
        HTTPStatus.NO_CONTENT: {
            "description": "The order is settled, and the caller has received all events."
        },
        **described([Code.TOO_MANY_STREAMS, Code.OVERLOADED]),
    },
)
async def follow_order(
    order: Visible,
    caller: Caller,
    watching: TheWatching,
    watch: Annotated[Watch, Depends(_watch)],
    request: Request,
) -> Response:
    """The order's steps as server-sent events: those of its timeline, then each as it happens.

    Each event `step` contains one entry of the timeline, and its number as `id`. The last event, `end`,
    contains the settled order. Lines that begin with a colon keep the stream alive. A client that reconnects
    with the last id as `Last-Event-ID`, as browsers do automatically, misses no event and gets none twice;
    204 means that no more events will come. A stream ends when its token expires, or after some minutes.
    """
    after = feed.seen(request.headers.get("last-event-id"), len(order.history))
    if order.settled and after == len(order.history):
        watch.ending = feed.Ending.SETTLED
        return Response(None, HTTPStatus.NO_CONTENT)
    return EventStream(events(watch, after, caller, watching.longest_seconds), headers=UNBUFFERED)


@router.post(
    "/{order_id}/cancel",
    status_code=HTTPStatus.ACCEPTED,
    response_model=OrderBody,
    openapi_extra=IDEMPOTENT,
    responses=described(REFUSING_REFUNDS),
)
async def cancel_order(
    order_id: Id,
    caller: Caller,
    engine: TheEngine,
    request: Request,
    idempotency_key: IdempotencyKeyHeader,
    cancellation: Cancellation = THE_WHOLE,
) -> Response:
    """Cancel an order that is not paid yet, and return its stock. 409 if it is paid.

    With `lines`: refund these lines of a paid order, and return them to stock.
    """
    if cancellation.asked:
        asked = _Refund(order_id, "cancel", cancellation.reason, cancellation.asked)
        return await _refunded(engine, asked, caller, request, idempotency_key)
    owner = await _owner(engine, order_id, caller, Right.CANCEL_ORDERS)
    # With whose order it has to be: what only the right to everybody's gave is not given again without it.
    asked_for = [order_id, owner, cancellation.model_dump()]
    command = CancelOrder(
        order_id=order_id,
        customer_id=owner,
        key=key_of(key_scope(CancelOrder, caller.id), idempotency_key, asked_for),
    )
    return _accepted(await engine.execute(command, id_=str(uuid.uuid4()), by=by(request, caller)), caller)


@router.post(
    "/{order_id}/refund",
    status_code=HTTPStatus.ACCEPTED,
    response_model=OrderBody,
    openapi_extra=IDEMPOTENT,
    responses=described(REFUSING_REFUNDS),
)
async def refund_order(
    order_id: Id,
    refund: RefundRequest,
    caller: Caller,
    engine: TheEngine,
    request: Request,
    idempotency_key: IdempotencyKeyHeader,
) -> Response:
    """Refund money, then return goods. 409 if the order is not paid, or less is left than requested.

    Customers may request it within a time that the shop sets, administrators at any time.
    """
    asked = _Refund(order_id, "refund", refund.reason, refund.asked)
    return await _refunded(engine, asked, caller, request, idempotency_key)


class _Refund(NamedTuple):
    """What is asked for, and by which route."""

    order_id: str
    route: str
    reason: str
    lines: tuple[RefundLine, ...]

    def id(self, caller: User, key: str | None) -> str:
        """The same for the same key of the same caller, for ever."""
        if key is None:
            return str(uuid.uuid4())
        route = f"POST /api/orders/{self.order_id}/{self.route}"
        return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{caller.id}/{route}/{key}"))


async def _refunded(
    engine: Engine, asked: _Refund, caller: User, request: Request, key: str | None
) -> Response:
    """The order with the refund. Raises KeyReused and what the order's state forbids."""
    if asked.lines and key is None:
        code = Code.IDEMPOTENCY_KEY_REQUIRED
        return wrong(code, [Fault("header", ("Idempotency-Key",), "a refund of lines needs a key")])
    command = RequestRefund(
        order_id=asked.order_id,
        customer_id=await _owner(engine, asked.order_id, caller, Right.REFUND_ORDERS),
        reason=asked.reason,
        refund_request_id=asked.id(caller, key),
        lines=asked.lines,
        request_hash=request_hash([asked.reason, asked.lines]),
    )
    return _accepted(await engine.execute(command, id_=str(uuid.uuid4()), by=by(request, caller)), caller)


def _accepted(decision: Decision, caller: User) -> Response:
    return _answer(order_body(_order(decision), caller), HTTPStatus.ACCEPTED, **replay(decision))


@router.post(
    "/{order_id}/refunds/{refund_request_id}/settled-outside",
    status_code=HTTPStatus.ACCEPTED,
    response_model=OrderBody,
    openapi_extra=IDEMPOTENT,
    responses=described([Code.STATE_FORBIDS, Code.FORBIDDEN, Code.IDEMPOTENCY_KEY_REUSED]),
)
async def settle_refund_outside(  # noqa: PLR0917  # FastAPI passes them by name
    order_id: Id,
    refund_request_id: Id,
    settlement: Settlement,
    caller: Annotated[User, Depends(Holder(Right.REFUND_ORDERS))],
    engine: TheEngine,
    request: Request,
    idempotency_key: IdempotencyKeyHeader,
) -> Response:
    """Record that a refund was made in another way. 409 unless the payment gateway refuses the refund."""
    command = SettleOutside(
        order_id=order_id,
        refund_request_id=refund_request_id,
        reference=settlement.reference,
        reason=settlement.reason,
        key=key_of(
            key_scope(SettleOutside, caller.id),
            idempotency_key,
            [order_id, refund_request_id, settlement.model_dump()],
        ),
    )
    return _accepted(await engine.execute(command, id_=str(uuid.uuid4()), by=by(request, caller)), caller)
