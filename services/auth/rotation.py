"""When signing keys are made, sign, and are removed: pure rules over the keys' ages.

A key is published first, long enough for every verifier to know it, then signs, and stays published until
the last token that it signed has expired.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, ClassVar, Final, NamedTuple

from services.auth.domain import ACCESS_TTL
from services.shared.contract.decisions import Aggregate

# Verifiers ask for the keys every 5 minutes (shared/auth.py), replicas of this service more often.
LEAD: Final = timedelta(minutes=10)
# Clocks differ, and a replica may sign with the older key until it looks again.
GRACE: Final = timedelta(minutes=5)


class SigningKey(Aggregate, frozen=True, rename="camel", kw_only=True):
    """Its id is its number: when two replicas make the next key, the database refuses the second."""

    collection: ClassVar[str] = "signingKeys"

    # JWK with the private part; its `kid` is the RFC 7638 thumbprint.
    jwk: dict[str, Any]
    created_at: datetime


class Rotation(NamedTuple):
    """The rules for keys that sign for `age`. Keys come oldest first."""

    age: timedelta

    @property
    def lead(self) -> timedelta:
        return min(LEAD, self.age / 4)

    def signing(self, keys: Sequence[SigningKey], now: datetime) -> SigningKey:
        """The newest key that every verifier knows by now; the first key of all signs at once."""
        known = [key for key in keys if key.created_at + self.lead <= now]
        return known[-1] if known else keys[0]

    def is_due(self, keys: Sequence[SigningKey], now: datetime) -> bool:
        """Return whether to make the next key now, so that it is known when the newest reaches its age."""
        return not keys or now >= keys[-1].created_at + self.age - self.lead

    def outdated(self, keys: Sequence[SigningKey], now: datetime) -> list[SigningKey]:
        """Return the keys whose last token has expired."""
        return [
            key
            for key, successor in pairwise(keys)
            if successor.created_at + self.lead + ACCESS_TTL + GRACE <= now
        ]


def next_id(keys: Sequence[SigningKey]) -> str:
    return str(int(keys[-1].id) + 1) if keys else "1"
