"""What MongoDB's driver says of an error, without what fills a screen."""

import re
from typing import Final

_AT_LENGTH: Final = re.compile(
    r" \(configured timeouts: [^)]*\)|, Timeout: [0-9.]+s, Topology Description: .*", re.DOTALL
)


def in_short(text: str) -> str:
    """Without timeouts, and all that it knows of each server: 2,000 letters. Any other text as it is."""
    return _AT_LENGTH.sub("", text)
