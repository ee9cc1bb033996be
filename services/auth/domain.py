"""The rules of accounts: what a token says, which refresh token counts."""

import hashlib
import hmac
from collections.abc import Iterable
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, ClassVar, Final

import msgspec
from msgspec import Struct

from services.shared.contract.decisions import Aggregate

ACCESS_TTL: Final = timedelta(minutes=15)
# Verifiers allow for clocks that differ.
TOKEN_LEEWAY: Final = timedelta(seconds=30)
# An unused refresh token expires after REFRESH_IDLE; its family expires after REFRESH_LONGEST, used or not.
REFRESH_IDLE: Final = timedelta(days=14)
REFRESH_LONGEST: Final = timedelta(days=90)
# A client that never got the answer asks again, with the token that it has. For so long that is no theft.
REPEATED_WITHIN: Final = timedelta(seconds=10)


class Totp(Struct, frozen=True, rename="camel", kw_only=True):
    """The second factor of an account."""

    # Sealed: the database alone makes no codes.
    secret: str
    # A code of it was seen: logins need one now.
    confirmed: bool = False
    # The time step of the latest code that was used: none of it, or of an earlier one, counts again.
    last_step: int = 0
    # Hashes of the codes that work without the app, each once.
    recovery: tuple[str, ...] = ()


class User(Aggregate, frozen=True, rename="camel", kw_only=True):
    collection: ClassVar[str] = "users"

    # The spelling by which it is found and compared (`emails.normalize`).
    email: str
    # As its owner typed it. Older accounts do not have it.
    address: str = ""
    name: str
    password_hash: str
    roles: tuple[str, ...] = ()
    created_at: datetime
    # Raised by what ends all logins: those of an earlier one are refused.
    epoch: int = 0
    disabled: bool = False
    # The administrator whom the settings name.
    seeded: bool = False
    totp: Totp | None = None
    # Its owner has shown to read what is sent to the address.
    verified: bool = False

    @property
    def mailbox(self) -> str:
        """What is written to, and shown."""
        return self.address or self.email

    @property
    def has_totp(self) -> bool:
        return self.totp is not None and self.totp.confirmed


class Family(Aggregate, frozen=True, rename="camel", kw_only=True):
    """The refresh tokens that follow from one login. Only the latest is valid."""

    collection: ClassVar[str] = "refreshFamilies"

    user_id: str
    # The account's when its password was checked.
    epoch: int = 0
    current: str
    created_at: datetime
    expires_at: datetime
    revoked: bool = False
    # Of the latest exchange: the token that was given, when, and by which client.
    exchanged: str = ""
    exchanged_at: datetime | None = None
    exchanged_by: str = ""


class Use(StrEnum):
    """What came of presenting a refresh token."""

    ROTATED = "rotated"
    EXPIRED = "expired"
    REVOKED = "revoked"
    # A second holder used it, or will. Thief and owner cannot be told apart: both have to log in again.
    REUSED = "reused"


def claims(
    user: User, roles: list[str], now: datetime, issuer: str, audience: str, token_id: str
) -> dict[str, Any]:
    """The claims of an access token that grants `roles`.

    By its id no two are the same, not even of one second.
    """
    issued = int(now.timestamp())
    return {
        "iss": issuer,
        "jti": token_id,
        "aud": audience,
        "sub": user.id,
        "email": user.mailbox,
        "roles": roles,
        "epoch": user.epoch,
        "iat": issued,
        "exp": issued + int(ACCESS_TTL.total_seconds()),
    }


def digest(secret: str) -> str:
    """The stored form of a refresh token. A slow hash would add nothing: the token is random and long."""
    return hashlib.sha256(secret.encode()).hexdigest()


def begin(id_: str, user: User, secret: str, now: datetime) -> Family:
    return Family(
        id=id_,
        user_id=user.id,
        epoch=user.epoch,
        current=digest(secret),
        created_at=now,
        expires_at=now + REFRESH_IDLE,
    )


def tokens_until(families: Iterable[Family]) -> datetime | None:
    """Until when access tokens of these logins are good, whatever has ended the logins; None without any."""
    issued = (moment for family in families for moment in (family.created_at, family.exchanged_at) if moment)
    latest = max(issued, default=None)
    return None if latest is None else latest + ACCESS_TTL + TOKEN_LEEWAY


def client(address: str, user_agent: str) -> str:
    """By what a client is known again within seconds. It proves nothing, and names nobody in the database."""
    return hashlib.sha256(f"{address}\n{user_agent}".encode()).hexdigest()


def use(family: Family, secret: str, successor: str, by: str, now: datetime) -> tuple[Family, Use]:
    """Exchange `secret` for `successor`, if it is the latest; or once more, for the `client` who just did.

    A caller who knows the family but neither of these holds an older token: all are revoked. So is the
    successor that a repeated exchange replaces: who uses it was not the one whose answer was lost.
    """
    if family.revoked:
        return family, Use.REVOKED
    if now >= family.expires_at:
        return family, Use.EXPIRED
    presented = digest(secret)
    if _is_repeated(family, presented, by, now):
        return msgspec.structs.replace(family, current=digest(successor)), Use.ROTATED
    if not hmac.compare_digest(presented, family.current):
        return revoke(family), Use.REUSED
    rotated = msgspec.structs.replace(
        family,
        current=digest(successor),
        expires_at=min(now + REFRESH_IDLE, family.created_at + REFRESH_LONGEST),
        exchanged=presented,
        exchanged_at=now,
        exchanged_by=by,
    )
    return rotated, Use.ROTATED


def is_known(family: Family, secret: str, user: User) -> bool:
    """Whether `secret` shows a client of `user`: it is of a login that nothing has ended."""
    presented = digest(secret)
    is_one = hmac.compare_digest(presented, family.current) or hmac.compare_digest(
        presented, family.exchanged
    )
    return is_one and not family.revoked and (family.user_id, family.epoch) == (user.id, user.epoch)


def _is_repeated(family: Family, presented: str, by: str, now: datetime) -> bool:
    return (
        family.exchanged_at is not None
        and now - family.exchanged_at <= REPEATED_WITHIN
        and family.exchanged_by == by
        and hmac.compare_digest(presented, family.exchanged)
    )


def revoke(family: Family) -> Family:
    return msgspec.structs.replace(family, revoked=True)
