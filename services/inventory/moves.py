"""What people say of a product's stock: each time one document, which stays."""

from datetime import datetime
from enum import StrEnum
from typing import ClassVar

from services.shared.contract.decisions import Aggregate


class MoveKind(StrEnum):
    RESTOCK = "restock"
    # By so many more or less.
    ADJUST = "adjust"
    # To so many.
    SET = "set"


class Reason(StrEnum):
    """Why the stock was corrected."""

    DAMAGED = "DAMAGED"
    LOST = "LOST"
    FOUND = "FOUND"
    COUNT = "COUNT"
    RETURNED = "RETURNED"
    OTHER = "OTHER"


class StockMove(Aggregate, frozen=True, kw_only=True):
    """`_id` is that of the command."""

    collection: ClassVar[str] = "moves"
    product_id: str
    kind: MoveKind
    # Pieces that became available; negative where there are fewer.
    delta: int
    # None for a restocking.
    reason: Reason | None = None
    note: str = ""
    # The id of the account.
    by: str
    at: datetime
    # Of the stock, after it.
    revision: int
