"""Durations as Go, and so CEL's `duration()` in the CRD, writes them: `90s`, `1m30s`, `1.5h`."""

import re
from datetime import timedelta

_MILLISECONDS = {"ms": 1.0, "s": 1_000.0, "m": 60_000.0, "h": 3_600_000.0}
_TERM = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)")
_DURATION = re.compile(rf"(?:{_TERM.pattern})+")


def parse_duration(text: str) -> timedelta:
    """Raise ValueError for anything but a sum of terms such as `1h30m`."""
    if not _DURATION.fullmatch(text):
        raise ValueError(f"{text!r} is not a duration such as 90s or 1h30m")
    terms = _TERM.finditer(text)
    return timedelta(
        milliseconds=sum(float(number) * _MILLISECONDS[unit] for number, unit in (t.groups() for t in terms))
    )


def format_duration(duration: timedelta) -> str:
    seconds = round(duration.total_seconds())
    parts = ((seconds // 3600, "h"), (seconds % 3600 // 60, "m"), (seconds % 60, "s"))
    return "".join(f"{count}{unit}" for count, unit in parts if count) or "0s"
