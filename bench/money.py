"""What the payment gateway has of each order, by its own ledger."""

from collections import Counter
from typing import Any

from pymongo import AsyncMongoClient

from services.payment.gateway import Kind, Status
from services.payment.ledger import COLLECTION as LEDGER


async def paid(mongo: AsyncMongoClient[dict[str, Any]]) -> Counter[str]:
    """Captured and not refunded, in minor units, by order."""
    found: Counter[str] = Counter()
    async for entry in mongo["payment"][LEDGER].find({"status": {"$ne": Status.DECLINED}}):
        found[entry["orderId"]] += -entry["amount"] if entry["kind"] == Kind.REFUND else entry["amount"]
    return found
