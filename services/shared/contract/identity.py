"""How messages are told apart: the id that an event has of its cause, and what a home remembers of a message.

Both are functions of what caused it and by which queue it came. So whoever knows an order's history knows the
id of every message that must exist about it, and can look it up where it must have left a mark.
"""

import hashlib
import uuid
from typing import Final

# An older publisher with 50 lines sends over a hundred messages to one reservation.
REMEMBERED: Final = 256
DIGEST_BYTES: Final = 16
# The source of commands, which come by no queue.
HTTP: Final = "http"


def cause(source: str, id_: str) -> str:
    """A message as a cause: an id is handled once per source, which is a queue, or HTTP."""
    return f"{source}/{id_}"


def event_id(of: str, type_: str, index: int) -> str:
    """UUIDv5 of the causing message, a `cause`: handling it again gives the same id, which its consumers have
    seen. `index` counts the events of one decision.
    """
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{of}/{type_}/{index}"))


def digest(source: str, id_: str) -> bytes:
    """How a home remembers a message."""
    return hashlib.blake2b(cause(source, id_).encode(), digest_size=DIGEST_BYTES).digest()
