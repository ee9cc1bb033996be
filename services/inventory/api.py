"""The inventory service's routes: what there is of a product, and more of it."""

import uuid

from fastapi import APIRouter

from services.inventory.bodies import Delivery, StockBody
from services.inventory.products import Restock
from services.inventory.stock import Stock
from services.shared.contract.decisions import NotFound
from services.shared.contract.idempotency import key_id
from services.shared.engine.life import Engine, TheEngine
from services.shared.http.app import IDEMPOTENT, Admin, IdempotencyKeyHeader
from services.shared.http.bodies import Id

router = APIRouter(prefix="/api/inventory", tags=["inventory"])


@router.get("/{product_id}")
async def get_stock(product_id: Id, engine: TheEngine) -> StockBody:
    return StockBody.of(await _stock(engine, product_id))


@router.post("/{product_id}/restock", openapi_extra=IDEMPOTENT)
async def restock(
    product_id: Id,
    delivery: Delivery,
    admin: Admin,
    engine: TheEngine,
    idempotency_key: IdempotencyKeyHeader,
) -> StockBody:
    """More of a product came in. The same Idempotency-Key counts once."""
    command = Restock(
        product_id=product_id,
        quantity=delivery.quantity,
        idempotency_key=key_id(f"restock/{admin.id}", idempotency_key) if idempotency_key else None,
    )
    decision = await engine.execute(command, id_=str(uuid.uuid4()))
    stock: Stock = decision.reply  # type: ignore[assignment]  # what a restock answers with
    return StockBody.of(stock)


async def _stock(engine: Engine, product_id: str) -> Stock:
    stock = await engine.store.get(Stock, product_id)
    if stock is None or not stock.created:
        raise NotFound(f"there is no stock of product {product_id}")
    return stock
