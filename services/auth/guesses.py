"""How many wrong passwords, or codes, an account takes, from all addresses together, before a delay: pure.

A delay, and not a lock-out, which would let anybody lock anybody out. Who guesses gets some 60 tries an hour;
who proves to be a known client, by a refresh token, has a budget that strangers cannot use up.
"""

from datetime import datetime, timedelta
from typing import ClassVar, Final, NamedTuple

import msgspec

from services.shared.contract.decisions import Aggregate

# So many failures an hour delay nothing: as many are forgotten in that time, one after the other.
FREE: Final = 20
FORGOTTEN_AFTER: Final = timedelta(hours=1) / FREE
FIRST_WAIT: Final = timedelta(seconds=1)
LONGEST_WAIT: Final = timedelta(seconds=60)
# Doublings of the first wait, beyond which it is the longest anyway.
_MOST_DOUBLINGS: Final = 10


class Allowance(NamedTuple):
    """So many delay nothing, of which one is forgotten each time `forgotten_after` has passed."""

    free: int
    forgotten_after: timedelta
    first_wait: timedelta
    longest_wait: timedelta


PASSWORDS: Final = Allowance(FREE, FORGOTTEN_AFTER, FIRST_WAIT, LONGEST_WAIT)
# Letters that anybody may have sent to an address: three, and then one every twenty minutes.
LETTERS: Final = Allowance(3, timedelta(minutes=20), timedelta(minutes=20), timedelta(minutes=20))


class Guesses(Aggregate, frozen=True, rename="camel", kw_only=True):
    """The wrong passwords or codes that were tried for an account, or by a known client of it."""

    collection: ClassVar[str] = "guesses"

    # When the latest was tried, and how many were not forgotten then.
    failures: float
    at: datetime
    expires_at: datetime


def failed(id_: str, known: Guesses | None, now: datetime, allowed: Allowance = PASSWORDS) -> Guesses:
    """With one failure more."""
    failures = 1 + (_remembered(known, now, allowed) if known else 0)
    expires_at = now + failures * allowed.forgotten_after
    if known is None:
        return Guesses(id=id_, failures=failures, at=now, expires_at=expires_at)
    return msgspec.structs.replace(known, failures=failures, at=now, expires_at=expires_at)


def wait(known: Guesses, now: datetime, allowed: Allowance = PASSWORDS) -> timedelta:
    """Until the next may be tried: nothing below the free ones, and then twice as long each time."""
    over = round(_remembered(known, now, allowed)) - allowed.free
    if over < 0:
        return timedelta()
    pause = min(allowed.first_wait * (1 << min(over, _MOST_DOUBLINGS)), allowed.longest_wait)
    # Of two at once the one may be counted first and have begun last.
    return min(max(known.at + pause - now, timedelta()), pause)


def _remembered(known: Guesses, now: datetime, allowed: Allowance) -> float:
    return max(0.0, known.failures - (now - known.at) / allowed.forgotten_after)
