"""The collection of idempotency keys: for the indexes of every service that takes such keys."""

from collections.abc import Mapping, Sequence
from typing import Final

from pymongo import IndexModel

from services.shared.contract.idempotency import LIFETIME, IdempotencyKey

INDEXES: Final[Mapping[str, Sequence[IndexModel]]] = {
    IdempotencyKey.collection: (IndexModel("at", expireAfterSeconds=int(LIFETIME.total_seconds())),)
}
