"""When signing keys are made, sign, and are removed: pure rules over the keys' ages.

A key is published first, long enough for every verifier to know it, then signs, and stays published until
the last token that it signed has expired. One that is revoked is published no more, and neither signs nor
verifies; it stays on the list for as long as a key signs.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import pairwise
from typing import Any, ClassVar, Final, NamedTuple

from services.auth.domain import ACCESS_TTL
from services.shared.contract.decisions import Aggregate

# Verifiers ask for the keys every minute (shared/http/auth.py), replicas of this service more often.
LEAD: Final = timedelta(minutes=10)
# Clocks differ, and a replica may sign with the older key until it looks again.
GRACE: Final = timedelta(minutes=5)


class SigningKey(Aggregate, frozen=True, rename="camel", kw_only=True):
    """Its id is its number: when two replicas make the next key, the database refuses the second."""

    collection: ClassVar[str] = "signingKeys"

    # The public part; its `kid` is the RFC 7638 thumbprint.
    jwk: dict[str, Any]
    # The private part as a JWK, sealed. None is kept of a key that is revoked.
    sealed: str = ""
    created_at: datetime
    revoked_at: datetime | None = None

    @property
    def kid(self) -> str:
        return str(self.jwk["kid"])


class Turn(StrEnum):
    """What a key is used for."""

    # Known to verifiers soon.
    NEXT = "next"
    SIGNING = "signing"
    # Tokens that it signed may be in use.
    VERIFYING = "verifying"
    REVOKED = "revoked"


class Rotation(NamedTuple):
    """The rules for keys that sign for `age`. Keys come oldest first.

    `outdated` and `turns` take all, the others those that are not revoked.
    """

    age: timedelta

    @property
    def lead(self) -> timedelta:
        return min(LEAD, self.age / 4)

    def signing(self, keys: Sequence[SigningKey], now: datetime) -> SigningKey:
        """The newest key that every verifier knows by now; the first key of all signs at once."""
        known = [key for key in keys if self.is_known(key, now)]
        return known[-1] if known else keys[0]

    def is_due(self, keys: Sequence[SigningKey], now: datetime) -> bool:
        """Return whether to make the next key now, so that it is known when the newest reaches its age."""
        return not keys or now >= keys[-1].created_at + self.age - self.lead

    def outdated(self, keys: Sequence[SigningKey], now: datetime) -> list[SigningKey]:
        """Return the keys whose last token has expired, and those that were revoked so long ago."""
        return [
            *(
                key
                for key, successor in pairwise(live(keys))
                if successor.created_at + self.lead + ACCESS_TTL + GRACE <= now
            ),
            *(key for key in keys if key.revoked_at is not None and key.revoked_at + self.age <= now),
        ]

    def is_known(self, key: SigningKey, now: datetime) -> bool:
        """Whether every verifier has had the time to ask for it."""
        return key.created_at + self.lead <= now

    def turns(self, keys: Sequence[SigningKey], now: datetime) -> list[tuple[SigningKey, Turn]]:
        """What each key does."""
        good = live(keys)
        signing = self.signing(good, now) if good else None
        return [(key, _turn(key, signing)) for key in keys]


def live(keys: Sequence[SigningKey]) -> list[SigningKey]:
    return [key for key in keys if key.revoked_at is None]


def _turn(key: SigningKey, signing: SigningKey | None) -> Turn:
    if key.revoked_at is not None:
        return Turn.REVOKED
    if signing is None or key.id == signing.id:
        return Turn.SIGNING
    return Turn.NEXT if int(key.id) > int(signing.id) else Turn.VERIFYING


def next_id(keys: Sequence[SigningKey]) -> str:
    return str(int(keys[-1].id) + 1) if keys else "1"
