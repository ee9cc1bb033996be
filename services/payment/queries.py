"""Every query about payments, and the index that serves it. The mock gateway keeps its own: ledger.py."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pymongo import IndexModel

from services.payment import ledger
from services.payment.payment import Payment
from services.shared.database.store import Store, from_document

INDEXES: Final[Mapping[str, Sequence[IndexModel]]] = {
    Payment.collection: (),
    ledger.COLLECTION: (IndexModel("orderId"),),
}


async def of(store: Store, order_id: str, customer_id: str | None) -> Payment | None:
    """The order's payment, if it is this customer's; anybody's for None."""
    query: dict[str, Any] = {"_id": order_id}
    if customer_id is not None:
        query["customerId"] = customer_id
    document = await store.collection(Payment).find_one(query)
    return None if document is None else from_document(Payment, document)
