"""Letters that the owner of an account is owed, and the token in each: pure.

A letter is a row of an outbox, for whoever sends mail. It holds no token: that is drawn when the letter is
sent, is in the mail alone, and leaves its hash here. So nobody who reads rows, backups or events learns it.
"""

import hmac
from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import ClassVar, Final

import msgspec

from services.auth.domain import User, digest
from services.shared.contract.decisions import Aggregate

SECRET_BYTES: Final = 32


class Kind(StrEnum):
    VERIFY = "verify"
    RESET = "reset"


# A letter that opens an account is of use to whoever else reads the mail.
LIFETIMES: Final[Mapping[Kind, timedelta]] = {
    Kind.VERIFY: timedelta(hours=24),
    Kind.RESET: timedelta(hours=1),
}


class Letter(Aggregate, frozen=True, rename="camel", kw_only=True):
    collection: ClassVar[str] = "letters"

    kind: Kind
    # Empty where there is no such account: written all the same, so that it takes as long.
    user_id: str = ""
    # The account's when the letter was asked for: what ends all logins ends the letters that open it.
    epoch: int = 0
    created_at: datetime
    expires_at: datetime
    # Of the token's secret, once it is drawn.
    digest: str = ""


def due(id_: str, kind: Kind, user: User | None, now: datetime) -> Letter:
    """The letter that is owed to the owner of an account, or one that is for nobody."""
    to = user if user is not None and is_owed(kind, user) else None
    letter = Letter(id=id_, kind=kind, created_at=now, expires_at=now + LIFETIMES[kind])
    return letter if to is None else msgspec.structs.replace(letter, user_id=to.id, epoch=to.epoch)


def is_owed(kind: Kind, user: User) -> bool:
    """Whether there is something to be said to them."""
    return not user.disabled and not (kind is Kind.VERIFY and user.verified)


def drawn(letter: Letter, secret: str) -> Letter:
    """With a token, which is `token_of`."""
    return msgspec.structs.replace(letter, digest=digest(secret))


def token_of(letter: Letter, secret: str) -> str:
    return f"{letter.id}.{secret}"


def opens(letter: Letter, kind: Kind, secret: str, user: User, now: datetime) -> bool:
    """Whether the token of a letter still does for the account what letters of its kind do."""
    return (
        letter.kind is kind
        and now < letter.expires_at
        and hmac.compare_digest(letter.digest, digest(secret))
        and letter.user_id == user.id
        and is_owed(kind, user)
        and (kind is Kind.VERIFY or letter.epoch == user.epoch)
    )
