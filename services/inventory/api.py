"""The inventory service's routes: what there is of a product, and more of it."""

import uuid
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from services.inventory import queries
from services.inventory.bodies import Delivery, StockBody, StockList
from services.inventory.products import Restock
from services.inventory.stock import Stock
from services.shared.contract.codes import Code
from services.shared.contract.decisions import NotFound, Verdict
from services.shared.contract.idempotency import key_id
from services.shared.engine.life import Engine, TheEngine
from services.shared.http.auth import User
from services.shared.http.bodies import IDS_IN_WORDS, LONGEST_LIST, MOST_IDS, Id, listed
from services.shared.http.dependencies import IDEMPOTENT, REPLAYED, Holder, IdempotencyKeyHeader, MaybeCaller
from services.shared.http.described import described
from services.shared.http.origin import by
from services.shared.http.rights import Right
from services.shared.http.routing import Route

router = APIRouter(prefix="/api/inventory", tags=["inventory"], route_class=Route)


@router.get("", response_model_exclude_unset=True)
async def list_stock(
    ids: Annotated[
        str,
        Query(
            description=f"Of products: up to {MOST_IDS}, separated by commas",
            max_length=LONGEST_LIST,
            json_schema_extra=IDS_IN_WORDS,
        ),
    ],
    engine: TheEngine,
    caller: MaybeCaller,
) -> StockList:
    """The stock of those of the products that have any record of it, in one request."""
    stocks = await queries.several(engine.store, listed(ids))
    return StockList(items=[StockBody.of(stock, for_staff=_is_staff(caller)) for stock in stocks])


@router.get("/{product_id}", response_model_exclude_unset=True)
async def get_stock(product_id: Id, engine: TheEngine, caller: MaybeCaller) -> StockBody:
    """What can be ordered now. What is reserved and sold is shown to the shop's staff."""
    return StockBody.of(await _stock(engine, product_id), for_staff=_is_staff(caller))


@router.post(
    "/{product_id}/restock",
    openapi_extra=IDEMPOTENT,
    responses=described([Code.STATE_FORBIDS, Code.IDEMPOTENCY_KEY_REUSED]),
)
async def restock(  # noqa: PLR0917  # FastAPI passes them by name
    product_id: Id,
    delivery: Delivery,
    admin: Annotated[User, Depends(Holder(Right.RESTOCK))],
    engine: TheEngine,
    request: Request,
    response: Response,
    idempotency_key: IdempotencyKeyHeader,
) -> StockBody:
    """More of a product came in. The same Idempotency-Key counts once."""
    command = Restock(
        product_id=product_id,
        quantity=delivery.quantity,
        idempotency_key=key_id(f"restock/{admin.id}", idempotency_key) if idempotency_key else None,
    )
    decision = await engine.execute(command, id_=str(uuid.uuid4()), by=by(request, admin))
    stock: Stock = decision.reply  # type: ignore[assignment]  # what a restock answers with
    if decision.verdict is Verdict.DUPLICATE:
        response.headers.update(REPLAYED)
    return StockBody.of(stock, for_staff=True)


def _is_staff(caller: User | None) -> bool:
    return caller is not None and caller.may(Right.READ_ORDERS)


async def _stock(engine: Engine, product_id: str) -> Stock:
    stock = await engine.store.get(Stock, product_id)
    if stock is None or not stock.created:
        raise NotFound(f"there is no stock of product {product_id}")
    return stock
