"""What language somebody would like best, as their browser says it (RFC 9110, 12.5.4)."""

import re
from typing import Final

# A language, what makes it more special (a script, where it is spoken), and how much it is wanted.
_RANGE: Final = re.compile(r"([A-Za-z]{2,3})((?:-[A-Za-z0-9]{1,8})*)\s*(?:;\s*q=([\d.]{1,5}))?")
_REGION: Final = re.compile(r"-([A-Za-z]{2})(?![A-Za-z0-9])")
# Longer than any browser's.
LONGEST: Final = 200


def preferred(accept_language: str | None) -> str | None:
    """Such as `de-AT`; None where nothing is said, or nothing that names a language."""
    best, weight = None, 0.0
    for part in (accept_language or "")[:LONGEST].split(","):
        found = _RANGE.fullmatch(part.strip())
        if found is None:
            continue
        language, special, quality = found.groups()
        asked = _weight(quality)
        if asked > weight:
            region = _REGION.search(special)
            best, weight = language.lower() + (f"-{region[1].upper()}" if region else ""), asked
    return best


def _weight(quality: str | None) -> float:
    try:
        return 1.0 if quality is None else float(quality)
    except ValueError:
        return 0.0
