"""The inventory service's routes: what there is of a product, and what people say there is."""

import uuid
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query, Request, Response

from services.inventory import queries
from services.inventory.bodies import Adjustment, Counted, Delivery, MoveList, StockBody, StockList
from services.inventory.products import Adjust, Command, Restock, SetAvailable
from services.inventory.stock import Stock
from services.shared.contract.codes import Code
from services.shared.contract.decisions import NotFound
from services.shared.contract.idempotency import Key, key_of
from services.shared.engine.life import Engine, TheEngine
from services.shared.http.auth import User
from services.shared.http.bodies import IDS_IN_WORDS, LONGEST_LIST, MOST_IDS, Id, listed
from services.shared.http.dependencies import (
    IDEMPOTENT,
    Holder,
    IdempotencyKeyHeader,
    MaybeCaller,
    replay,
)
from services.shared.http.described import described
from services.shared.http.origin import by
from services.shared.http.revisions import MATCHED, IfMatch, etag
from services.shared.http.rights import Right
from services.shared.http.routing import Route

# A revision that no stock reaches.
FARTHEST: Final = 2**53
Restocker = Annotated[User, Depends(Holder(Right.RESTOCK))]
router = APIRouter(prefix="/api/inventory", tags=["inventory"], route_class=Route)


@router.get("", response_model_exclude_unset=True)
async def list_stock(
    ids: Annotated[
        str,
        Query(
            description=f"Up to {MOST_IDS} product ids, separated by commas",
            max_length=LONGEST_LIST,
            json_schema_extra=IDS_IN_WORDS,
        ),
    ],
    engine: TheEngine,
    caller: MaybeCaller,
) -> StockList:
    """The stock of several products in one request. Products without a record of stock are left out."""
    stocks = await queries.several(engine.store, listed(ids))
    return StockList(items=[StockBody.of(stock, for_staff=_is_staff(caller)) for stock in stocks])


@router.get("/{product_id}", response_model_exclude_unset=True)
async def get_stock(product_id: Id, engine: TheEngine, caller: MaybeCaller, response: Response) -> StockBody:
    """What can be ordered now. The shop's staff also sees what is reserved and sold, and the ETag."""
    stock, for_staff = await _stock(engine, product_id), _is_staff(caller)
    if for_staff:  # how often it changed tells how much is sold
        response.headers.update(etag(stock.revision))
    return StockBody.of(stock, for_staff=for_staff)


@router.get("/{product_id}/moves")
async def list_stock_moves(
    product_id: Id,
    _: Restocker,
    engine: TheEngine,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    cursor: Annotated[
        int | None, Query(ge=0, le=FARTHEST, description="`nextCursor` of the previous page")
    ] = None,
) -> MoveList:
    """Manual changes of the stock, the newest first: restockings, adjustments, counts."""
    await _stock(engine, product_id)
    return MoveList.of(await queries.moves(engine.store, product_id, limit + 1, cursor), limit)


@router.post(
    "/{product_id}/restock",
    openapi_extra=IDEMPOTENT,
    responses=described([Code.STATE_FORBIDS, Code.IDEMPOTENCY_KEY_REUSED]),
)
async def restock(  # noqa: PLR0917  # FastAPI passes them by name
    product_id: Id,
    delivery: Delivery,
    admin: Restocker,
    engine: TheEngine,
    request: Request,
    response: Response,
    idempotency_key: IdempotencyKeyHeader,
) -> StockBody:
    """Add pieces of a product. The same Idempotency-Key adds them only once."""
    command = Restock(
        product_id=product_id,
        quantity=delivery.quantity,
        key=_key("restock", admin, idempotency_key, [product_id, delivery.quantity]),
    )
    return await _changed(engine, command, request, response, admin)


@router.post(
    "/{product_id}/adjust",
    openapi_extra=IDEMPOTENT,
    responses=described([Code.STATE_FORBIDS, Code.IDEMPOTENCY_KEY_REUSED]),
)
async def adjust_stock(  # noqa: PLR0917  # FastAPI passes them by name
    product_id: Id,
    adjustment: Adjustment,
    admin: Restocker,
    engine: TheEngine,
    request: Request,
    response: Response,
    idempotency_key: IdempotencyKeyHeader,
) -> StockBody:
    """Correct the stock by more or fewer pieces. Pieces that orders hold cannot be removed."""
    command = Adjust(
        product_id=product_id,
        delta=adjustment.delta,
        reason=adjustment.reason,
        note=adjustment.note,
        key=_key("adjust", admin, idempotency_key, [product_id, adjustment.model_dump()]),
    )
    return await _changed(engine, command, request, response, admin)


@router.put(
    "/{product_id}",
    openapi_extra={"parameters": [MATCHED, *IDEMPOTENT["parameters"]]},
    responses=described(
        [
            Code.STATE_FORBIDS,
            Code.PRECONDITION_FAILED,
            Code.PRECONDITION_REQUIRED,
            Code.IDEMPOTENCY_KEY_REUSED,
        ]
    ),
)
async def set_stock(  # noqa: PLR0917  # FastAPI passes them by name
    product_id: Id,
    counted: Counted,
    admin: Restocker,
    revisions: IfMatch,
    engine: TheEngine,
    request: Request,
    response: Response,
    idempotency_key: IdempotencyKeyHeader,
) -> StockBody:
    """Set how many pieces can be ordered, if the stock has not changed: `If-Match` has its ETag."""
    command = SetAvailable(
        product_id=product_id,
        available=counted.available,
        reason=counted.reason,
        note=counted.note,
        revisions=revisions,
        key=_key("set", admin, idempotency_key, [product_id, counted.model_dump(), revisions]),
    )
    return await _changed(engine, command, request, response, admin)


async def _changed(
    engine: Engine, command: Command, request: Request, response: Response, admin: User
) -> StockBody:
    """The stock as the command leaves it."""
    decision = await engine.execute(command, id_=str(uuid.uuid4()), by=by(request, admin))
    stock: Stock = decision.reply  # type: ignore[assignment]  # what all of them answer with
    response.headers.update({**replay(decision), **etag(stock.revision)})
    return StockBody.of(stock, for_staff=True)


def _key(command: str, admin: User, given: str | None, request: object) -> Key | None:
    return key_of(f"{command}/{admin.id}", given, request)


def _is_staff(caller: User | None) -> bool:
    return caller is not None and caller.may(Right.READ_ORDERS)


async def _stock(engine: Engine, product_id: str) -> Stock:
    stock = await engine.store.get(Stock, product_id)
    if stock is None or not stock.created:
        raise NotFound(f"there is no stock of product {product_id}")
    return stock
