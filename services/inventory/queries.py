"""The inventory service's collections and their indexes. All is asked for by id: by product, and by order."""

from collections.abc import Mapping, Sequence
from typing import Final

from pymongo import IndexModel

from services.inventory.reservation import Reservation
from services.inventory.stock import Stock
from services.shared.database import idempotency
from services.shared.database.store import Store, from_document


async def several(store: Store, ids: Sequence[str]) -> list[Stock]:
    """Those of the products that inventory has heard of, in the order of `ids`."""
    query = {"_id": {"$in": list(ids)}, "created": True}
    found = {
        document["_id"]: from_document(Stock, document)
        async for document in store.collection(Stock).find(query)
    }
    return [found[id_] for id_ in ids if id_ in found]


INDEXES: Final[Mapping[str, Sequence[IndexModel]]] = {
    Stock.collection: (),
    Reservation.collection: (),
    **idempotency.INDEXES,
}
