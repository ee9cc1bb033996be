"""Every query about payments, and the index that serves it. The mock gateway keeps its own: ledger.py."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, cast

from pymongo import ASCENDING, IndexModel

from services.payment import ledger
from services.payment.payment import UNDECIDED, Payment, PaymentState, RefundState
from services.shared.database.store import Store
from services.shared.engine import asking

BEING_REFUNDED: Final = {"state": PaymentState.REFUNDING.value}
# Few payments are ever in it: those that are over, of which there are ever more, have left it.
IN_FLIGHT: Final = {"state": {"$in": [state.value for state in (*UNDECIDED, PaymentState.REFUNDING)]}}
INDEXES: Final[Mapping[str, Sequence[IndexModel]]] = {
    Payment.collection: (
        IndexModel(
            [("state", ASCENDING), ("intendedAt", ASCENDING)],
            # Not that of its keys, which an older one has that holds refunds alone.
            name="inFlight",
            partialFilterExpression=IN_FLIGHT,
        ),
        asking.INDEX,
    ),
    ledger.COLLECTION: (IndexModel("orderId"), IndexModel("at")),
}


async def of(store: Store, order_id: str, customer_id: str | None) -> Payment | None:
    """The order's payment, if it is this customer's; anybody's for None."""
    payment = await store.get(Payment, order_id)
    return payment if payment is not None and customer_id in {None, payment.customer_id} else None


async def count_refunds(store: Store) -> int:
    """How many refunds are under way."""
    return await store.collection(Payment).count_documents(BEING_REFUNDED)


async def count_refused(store: Store) -> int:
    """How many payments have a refund that the gateway refused the last time that it was asked."""
    refused = {**BEING_REFUNDED, "refunds.state": RefundState.REFUSED.value}
    return await store.collection(Payment).count_documents(refused)


async def oldest_refund(store: Store) -> datetime | None:
    """Since when the oldest of them has been asked for; None where none is under way."""
    since = {"_id": 0, "intendedAt": 1}
    found = await store.collection(Payment).find_one(BEING_REFUNDED, since, sort=[("intendedAt", ASCENDING)])
    return None if found is None else cast("datetime", found["intendedAt"])
