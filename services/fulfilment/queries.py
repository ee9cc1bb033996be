"""Every query about shipments. They are asked for by their order, which is their id: no index is needed."""

from collections.abc import Mapping, Sequence
from typing import Final

from pymongo import IndexModel

from services.fulfilment.shipment import Shipment
from services.shared.database import idempotency

INDEXES: Final[Mapping[str, Sequence[IndexModel]]] = {Shipment.collection: (), **idempotency.INDEXES}
