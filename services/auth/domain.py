"""The rules of accounts: e-mail addresses, passwords, what a token says, which refresh token counts."""

import hashlib
import hmac
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, ClassVar, Final

import msgspec

from services.shared.contract.decisions import Aggregate

ACCESS_TTL: Final = timedelta(minutes=15)
# An unused refresh token expires after REFRESH_IDLE; its family expires after REFRESH_LONGEST, used or not.
REFRESH_IDLE: Final = timedelta(days=14)
REFRESH_LONGEST: Final = timedelta(days=90)
# NIST SP 800-63B asks for 8 characters at least, room for 64, and no rules about which.
PASSWORD_LENGTHS: Final = range(8, 129)
ADMIN: Final = "admin"


class User(Aggregate, frozen=True, rename="camel", kw_only=True):
    collection: ClassVar[str] = "users"

    email: str
    name: str
    password_hash: str
    roles: tuple[str, ...] = ()
    created_at: datetime


class Family(Aggregate, frozen=True, rename="camel", kw_only=True):
    """The refresh tokens that follow from one login. Only the latest is valid."""

    collection: ClassVar[str] = "refreshFamilies"

    user_id: str
    current: str
    created_at: datetime
    expires_at: datetime
    revoked: bool = False


class Use(StrEnum):
    """What came of presenting a refresh token."""

    ROTATED = "rotated"
    EXPIRED = "expired"
    REVOKED = "revoked"
    # A second holder used it, or will. Thief and owner cannot be told apart: both have to log in again.
    REUSED = "reused"


def check_password(password: str, email: str) -> None:
    """Raise ValueError when `password` is too weak for the account of `email`."""
    shortest, longest = PASSWORD_LENGTHS[0], PASSWORD_LENGTHS[-1]
    if len(password) not in PASSWORD_LENGTHS:
        raise ValueError(f"a password has {shortest} to {longest} characters, this one has {len(password)}")
    if password.casefold() == email.casefold():
        raise ValueError("the password must not be the e-mail address")


def claims(user: User, now: datetime, issuer: str, audience: str) -> dict[str, Any]:
    """The claims of an access token."""
    issued = int(now.timestamp())
    return {
        "iss": issuer,
        "aud": audience,
        "sub": user.id,
        "email": user.email,
        "roles": list(user.roles),
        "iat": issued,
        "exp": issued + int(ACCESS_TTL.total_seconds()),
    }


def digest(secret: str) -> str:
    """The stored form of a refresh token. A slow hash would add nothing: the token is random and long."""
    return hashlib.sha256(secret.encode()).hexdigest()


def begin(id_: str, user_id: str, secret: str, now: datetime) -> Family:
    return Family(
        id=id_, user_id=user_id, current=digest(secret), created_at=now, expires_at=now + REFRESH_IDLE
    )


def use(family: Family, secret: str, successor: str, now: datetime) -> tuple[Family, Use]:
    """Exchange `secret` for `successor`, if it is the latest.

    A caller who knows the family but not its latest secret holds an older token: all are revoked.
    """
    if family.revoked:
        return family, Use.REVOKED
    if now >= family.expires_at:
        return family, Use.EXPIRED
    if not hmac.compare_digest(digest(secret), family.current):
        return revoke(family), Use.REUSED
    expires_at = min(now + REFRESH_IDLE, family.created_at + REFRESH_LONGEST)
    return msgspec.structs.replace(family, current=digest(successor), expires_at=expires_at), Use.ROTATED


def revoke(family: Family) -> Family:
    return msgspec.structs.replace(family, revoked=True)
