"""The id by which a caller, the gateway, every service and the logs speak of one request."""

import random
import re
from collections.abc import Mapping
from typing import Final

HEADER: Final = b"x-request-id"
_WELL_FORMED: Final = re.compile(rb"[A-Za-z0-9._-]{1,64}")


def request_id(headers: Mapping[bytes, bytes]) -> str:
    """Return the caller's request id if it is well-formed, else a new one, which is no secret."""
    given = headers.get(HEADER, b"")
    if _WELL_FORMED.fullmatch(given):
        return given.decode()
    return f"{random.getrandbits(128):032x}"
