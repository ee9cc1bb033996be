"""Idempotency keys of HTTP commands: the same key again gives what it gave, for a day.

The key is stored in the transaction of what it caused, so neither exists without the other; of two replicas
that get it at once, the second is turned away by the `_id` and finds the first one's key.
"""

import hashlib
from datetime import datetime, timedelta
from typing import ClassVar, Final

import msgspec

from services.shared.contract.decisions import Aggregate, KeyReused

# Also of the collection's TTL index on `at`, which is up to a minute late: `earlier_subject` is exact.
LIFETIME: Final = timedelta(hours=24)


class IdempotencyKey(Aggregate, frozen=True, kw_only=True):
    """`_id` is `key_id(scope, key)`: keys of different callers or commands do not meet."""

    collection: ClassVar[str] = "idempotency"
    # A hash: the request itself may hold what should not be kept.
    request: str
    # What the command created, or changed.
    subject: str
    at: datetime


def key_id(scope: str, key: str) -> str:
    return f"{scope}/{key}"


def request_hash(request: object) -> str:
    """The same for equal requests: what msgspec can encode, whatever the order of its keys."""
    return hashlib.sha256(msgspec.json.encode(request, order="deterministic")).hexdigest()


def earlier_subject(found: IdempotencyKey | None, request: str, at: datetime) -> str | None:
    """The subject that the key's first use gave, or None when this, at `at`, is its first use.

    `request` is a `request_hash`. Raises KeyReused when the key was used for another request.
    """
    if found is None or found.at + LIFETIME <= at:
        return None
    if found.request != request:
        raise KeyReused("this idempotency key was used for another request: send a new key")
    return found.subject
