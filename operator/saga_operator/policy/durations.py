"""Durations as Go, and so CEL's `duration()` in the CRD, writes them: `90s`, `1m30s`, `1.5h`."""

import re
from datetime import timedelta

import durationpy

# The library also takes signs, days, and what stands between two terms.
_DURATION = re.compile(r"([0-9]+(\.[0-9]+)?(ms|s|m|h))+")


def parse_duration(text: str) -> timedelta:
    """Raise ValueError for anything but a sum of terms such as `1h30m`."""
    if not _DURATION.fullmatch(text):
        raise ValueError(f"{text!r} is not a duration such as 90s or 1h30m")
    return durationpy.from_str(text)
