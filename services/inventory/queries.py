"""The inventory service's collections and their indexes. What stock needs is asked for by id."""

from collections.abc import Mapping, Sequence
from typing import Final

from pymongo import ASCENDING, DESCENDING, IndexModel

from services.inventory.moves import StockMove
from services.inventory.reservation import Reservation
from services.inventory.stock import Stock
from services.shared.database import idempotency
from services.shared.database.store import Document, Store, from_document, readable

NEWEST_FIRST: Final = (("productId", ASCENDING), ("revision", DESCENDING))


async def several(store: Store, ids: Sequence[str]) -> list[Stock]:
    """Those of the products that inventory has heard of, in the order of `ids`."""
    query = {"_id": {"$in": list(ids)}, "created": True}
    documents = await store.collection(Stock).find(query).to_list()
    found = {stock.id: stock for stock in readable(Stock, documents)}
    return [found[id_] for id_ in ids if id_ in found]


async def moves(store: Store, product_id: str, limit: int, before: int | None) -> list[StockMove]:
    """The newest first; of older ones, those that led to a revision below `before`."""
    query: Document = {"productId": product_id}
    if before is not None:
        query["revision"] = {"$lt": before}
    found = store.collection(StockMove).find(query).sort(NEWEST_FIRST).limit(limit)
    return [from_document(StockMove, document) async for document in found]


INDEXES: Final[Mapping[str, Sequence[IndexModel]]] = {
    Stock.collection: (),
    Reservation.collection: (IndexModel("lines.productId"),),
    StockMove.collection: (IndexModel(NEWEST_FIRST),),
    **idempotency.INDEXES,
}
