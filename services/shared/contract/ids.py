"""What the ids of products and orders look like wherever they come in over HTTP.

Events may carry other ids of up to 64 characters: other systems publish those, and they are handled as they
are. Over HTTP they cannot be asked about.
"""

import re
from typing import Final

LONGEST: Final = 64
PATTERN: Final = f"^[A-Za-z0-9_-]{{1,{LONGEST}}}$"
LOOKS_LIKE: Final = f"an id has 1 to {LONGEST} characters, which are letters of A to Z, digits, _ and -"
_ID: Final = re.compile(PATTERN.strip("^$"))


def checked(text: str) -> str:
    """The id. Raises ValueError, which says what an id looks like, for anything else."""
    if _ID.fullmatch(text) is None:
        raise ValueError(LOOKS_LIKE)
    return text


def is_id(text: str) -> bool:
    return _ID.fullmatch(text) is not None
