"""What operators ask of the order service. Not through the gateway, and not for customers."""

import uuid
from datetime import timedelta
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Header, Query, Request

from services.order import queries
from services.order.bodies import (
    AttentionEntry,
    AttentionOrder,
    AttentionOrders,
    Compensate,
    CompensationAnswer,
    StaleOrder,
    StaleOrders,
)
from services.order.commands import TimeOut
from services.order.domain import Compensated, Compensation
from services.order.model import Order, Status
from services.order.operators import TokenReviewer
from services.shared.contract.audit import Actor, Kind
from services.shared.engine.life import TheEngine
from services.shared.http.auth import Forbidden, Tokens, claims_to_be_of
from services.shared.http.bodies import Id
from services.shared.http.origin import by
from services.shared.http.rights import Right, refusal
from services.shared.http.routing import Route


async def _operator(request: Request, authorization: Annotated[str | None, Header()] = None) -> Actor:
    """Who operates: an administrator, by a token of the shop's; in a cluster the operator's service account,
    by one of the cluster's. Each is checked by those who made it.
    """
    reviewer: TokenReviewer | None = request.app.state.reviewer
    tokens: Tokens = request.app.state.tokens
    scheme, _, token = (authorization or "").partition(" ")
    if reviewer is not None and not claims_to_be_of(tokens.issuer, token):
        subject = await reviewer.authenticate(token if scheme.lower() == "bearer" else "")
        return Actor(subject, Kind.OPERATOR)
    user = await tokens.user(authorization)
    if not user.may(Right.OPERATE):
        raise Forbidden(refusal(Right.OPERATE))
    return user.actor


router = APIRouter(
    prefix="/internal/orders", tags=["operators"], dependencies=[Depends(_operator)], route_class=Route
)


@router.get("/stale")
async def stale_orders(
    engine: TheEngine,
    status: Literal[Status.PENDING, Status.CONFIRMED] = Status.CONFIRMED,
    older_than: Annotated[float, Query(alias="olderThan", ge=0, le=10**9)] = 300,
    limit: Annotated[int, Query(ge=1, le=1000)] = 50,
) -> StaleOrders:
    """Orders whose state has not changed for `olderThan` seconds, the oldest first."""
    before = engine.clock.now() - timedelta(seconds=older_than)
    orders = await queries.stale(engine.store, status, before, limit)
    return StaleOrders(
        orders=[StaleOrder(order_id=o.id, status=o.status, state_since=o.state_since) for o in orders]
    )


@router.post("/{order_id}/compensate")
async def compensate(
    order_id: Id,
    asked: Compensate,
    engine: TheEngine,
    operator: Annotated[Actor, Depends(_operator)],
    request: Request,
) -> CompensationAnswer:
    """Cancels the order if it still is as stale as asked for: harmless to repeat, from several callers."""
    command = TimeOut(
        order_id=order_id, status=asked.status, older_than=asked.older_than, reason=asked.reason
    )
    decision = await engine.execute(command, id_=str(uuid.uuid4()), by=by(request, operator))
    match decision.reply:
        case Compensated(order=order, outcome=outcome):
            return CompensationAnswer(order_id=order_id, status=order.status, outcome=outcome)
        case Order() as order:  # done, and its first answer lost on the way
            return CompensationAnswer(
                order_id=order_id, status=order.status, outcome=Compensation.COMPENSATED
            )
        case other:
            raise TypeError(f"a timeout is not answered with {type(other).__name__}")


@router.get("/attention")
async def orders_needing_attention(
    engine: TheEngine, limit: Annotated[int, Query(ge=1, le=1000)] = 100
) -> AttentionOrders:
    """Orders with events that contradict what happened: for a human to look at."""
    orders = await queries.needing_attention(engine.store, limit)
    return AttentionOrders(
        orders=[
            AttentionOrder(
                order_id=order.id,
                status=order.status,
                attention=[
                    AttentionEntry(at=each.at, event=each.event, event_id=each.event_id, reason=each.reason)
                    for each in order.attention
                ],
            )
            for order in orders
        ]
    )
