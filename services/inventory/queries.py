"""The inventory service's collections and their indexes. All is asked for by id: by product, and by order."""

from collections.abc import Mapping, Sequence
from typing import Final

from pymongo import IndexModel

from services.inventory.reservation import Reservation
from services.inventory.stock import Stock
from services.shared.database import idempotency

INDEXES: Final[Mapping[str, Sequence[IndexModel]]] = {
    Stock.collection: (),
    Reservation.collection: (),
    **idempotency.INDEXES,
}
