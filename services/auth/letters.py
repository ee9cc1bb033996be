"""Letters that the owner of an account is owed, and what the token in each does: pure.

A letter is a row of an outbox. It holds no token and no hash of one: that follows from the row and from a key
that is not in the database (`sealing.py`), is made when the letter is sent, and is in the mail alone.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import ClassVar, Final

import msgspec

from services.auth.domain import User
from services.shared.contract.decisions import Aggregate


class Kind(StrEnum):
    VERIFY = "verify"
    RESET = "reset"


class State(StrEnum):
    # The mail server has not taken it on yet.
    WAITING = "WAITING"
    # The mail server has taken it on.
    SENT = "SENT"
    # It never will: the mailbox is refused for good.
    FAILED = "FAILED"
    # There is nobody to send it to, or nothing to say any more.
    VOID = "VOID"


# A letter that opens an account is of use to whoever else reads the mail.
LIFETIMES: Final[Mapping[Kind, timedelta]] = {
    Kind.VERIFY: timedelta(hours=24),
    Kind.RESET: timedelta(hours=1),
}
# Whoever takes a letter on has it for so long; after that another may.
LEASE: Final = timedelta(minutes=2)
# Until it is tried again: after the first time, the second, and all others.
PAUSES: Final = (timedelta(seconds=1), timedelta(seconds=10), timedelta(seconds=60))
# A registration stores its letter first and its account then. Later than this no account comes any more.
ACCOUNT_WITHIN: Final = timedelta(minutes=1)


class Letter(Aggregate, frozen=True, rename="camel", kw_only=True):
    collection: ClassVar[str] = "letters"

    kind: Kind
    # Empty where there is no such account: written all the same, so that it takes as long.
    user_id: str = ""
    # The account's when the letter was asked for: what ends all logins ends the letters that open it.
    epoch: int = 0
    # What its reader would like best, as the request said that asked for it.
    locale: str | None = None
    created_at: datetime
    expires_at: datetime
    # Rows of before letters were sent have no state: nobody sends those.
    state: State = State.VOID
    # When it is to be sent, or sent again, and how often that was tried.
    due: datetime | None = None
    tries: int = 0

    @property
    def sealed_as(self) -> str:
        """What its token follows from: that of one letter is none of another, nor of another account."""
        return f"letters/{self.kind}/{self.user_id}/{self.id}"


def owed(id_: str, kind: Kind, user: User | None, locale: str | None, now: datetime) -> Letter:
    """The letter that is owed to the owner of an account, or one that is for nobody."""
    to = user if user is not None and _is_owed(kind, user) else None
    return Letter(
        id=id_,
        kind=kind,
        user_id="" if to is None else to.id,
        epoch=0 if to is None else to.epoch,
        locale=locale,
        created_at=now,
        expires_at=now + LIFETIMES[kind],
        state=State.WAITING,
        due=now,
    )


def token_of(letter: Letter, secret: str) -> str:
    return f"{letter.id}.{secret}"


def opens(letter: Letter, kind: Kind, user: User, now: datetime) -> bool:
    """Whether the token of a letter still does for the account what letters of its kind do."""
    return letter.kind is kind and _holds(letter, user, now)


def awaits_account(letter: Letter, user: User | None, now: datetime) -> bool:
    """Whether the account that it is for may still be on its way into the database."""
    return letter.user_id != "" and user is None and now - letter.created_at < ACCOUNT_WITHIN


def is_to_be_sent(letter: Letter, user: User | None, now: datetime) -> bool:
    """Whether its token would do anything: letters for nobody are not sent."""
    return user is not None and _holds(letter, user, now)


def put_off(letter: Letter, now: datetime) -> Letter:
    """To be tried again. When that is later than it expires, the database will have forgotten it."""
    pause = PAUSES[min(max(letter.tries, 1), len(PAUSES)) - 1]
    return msgspec.structs.replace(letter, due=now + pause)


def over(letter: Letter, state: State) -> Letter:
    """Nothing is left to be sent."""
    return msgspec.structs.replace(letter, state=state, due=None)


def _is_owed(kind: Kind, user: User) -> bool:
    """Whether there is something to be said to them."""
    return not user.disabled and not (kind is Kind.VERIFY and user.verified)


def _holds(letter: Letter, user: User, now: datetime) -> bool:
    return (
        now < letter.expires_at
        and letter.user_id == user.id
        and _is_owed(letter.kind, user)
        and (letter.kind is Kind.VERIFY or letter.epoch == user.epoch)
    )
