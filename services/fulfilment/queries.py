"""Every query about entries. They are asked for by their order, which is their id: no index is needed."""

from collections.abc import Mapping, Sequence
from typing import Final

from pymongo import IndexModel

from services.fulfilment.domain import FulfilmentEntry
from services.shared.database.store import Store, from_document

INDEXES: Final[Mapping[str, Sequence[IndexModel]]] = {}


async def of_order(store: Store, order_id: str) -> FulfilmentEntry | None:
    document = await store.collection(FulfilmentEntry).find_one({"_id": order_id})
    return None if document is None else from_document(FulfilmentEntry, document)
