"""Times, amounts and ids as a page shows them. Pure."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Final

from sagactl.oncall.status.standing import said
from services.shared.contract import money

SHORT_ID: Final = 8
SECOND: Final = timedelta(seconds=1)


def ago(at: datetime, now: datetime) -> str:
    """Such as `3 min 20 s ago`, or `in 40 s`."""
    if at > now:
        return f"in {said(at - now)}"
    return "just now" if now - at < SECOND else f"{said(now - at)} ago"


def elapsed(time: timedelta) -> str:
    """Such as `270 ms`: of what takes a part of a second, that part counts."""
    if time < SECOND:
        return f"{round(time.total_seconds() * 1000)} ms"
    return said(time)


def exactly(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def amount(minor: int, currency: str) -> str:
    """Nothing where there is no currency yet."""
    return f"{money.to_decimal(minor, currency)} {currency}" if currency else ""


def short_id(id_: str) -> str:
    """What tells it from its neighbours: the end, since ids of orders begin with the time."""
    return id_ if len(id_) <= SHORT_ID + 1 else f"…{id_[-SHORT_ID:]}"


def shortened(email: str) -> str:
    """Enough to know it again by: `a***@example.com`."""
    name, at, domain = email.rpartition("@")
    return f"{name[:1]}***@{domain}" if at and name else "***"


def digest(names: Iterable[str]) -> str:
    """Of two sets of names the same, if they are the same."""
    return sha256("\n".join(sorted(names)).encode()).hexdigest()
