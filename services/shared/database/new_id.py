"""Ids for documents that come with every order: UUIDs that begin with the time (version 7, RFC 9562).

Where ids are random, each document goes to a page of its own of every index that its id is in. The more are
there, the more pages are read and written again for it. Ids that begin with the time go where the last one
went. Python's own `uuid7` comes with 3.14.
"""

import secrets
import time
import uuid
from datetime import UTC, datetime
from typing import Final

_VERSION: Final = 7 << 76
_VARIANT: Final = 0b10 << 62
# The bits that say so.
_MARKS: Final = 0xF << 76 | 0b11 << 62


def new_id() -> str:
    """Of the present millisecond; 74 of its bits cannot be guessed."""
    random = secrets.randbits(12) << 64 | secrets.randbits(62)
    return _id(time.time_ns() // 1_000_000, random)


def least_id(at: datetime) -> str:
    """No id that was made at that time or later comes before it."""
    return _id(int(at.timestamp() * 1000), 0)


def made_at(id_: str) -> datetime | None:
    """When an id was made; None for what is none of ours."""
    try:
        read = uuid.UUID(id_)
    except ValueError:
        return None
    is_ours = read.int & _MARKS == _VERSION | _VARIANT
    return datetime.fromtimestamp((read.int >> 80) / 1000, UTC) if is_ours else None


def _id(milliseconds: int, random: int) -> str:
    return str(uuid.UUID(int=milliseconds << 80 | _VERSION | _VARIANT | random))
