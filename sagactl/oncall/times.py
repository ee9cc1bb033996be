"""How a person says a time, or how long, on the command line."""

from datetime import datetime, timedelta
from typing import Final

import typer

from saga_operator.policy.durations import parse_duration
from sagactl.wording import since

# A time so far from now is still one.
LONGEST: Final = timedelta(days=365_000)


def moment(text: str | None) -> datetime | None:
    """An option's. Raises BadParameter for what is neither a duration nor a date."""
    try:
        return None if text is None else since(text)
    except ValueError:
        raise typer.BadParameter(
            f"{text}: give a duration such as 2h, or a date such as 2026-11-26"
        ) from None


def duration(text: str) -> timedelta:
    """An option's. Raises BadParameter for what is none."""
    try:
        found = parse_duration(text)
    except ValueError:
        raise typer.BadParameter(f"{text}: give a duration such as 90s, 5m or 1h30m") from None
    if found > LONGEST:
        raise typer.BadParameter(
            f"{text}: give a duration such as 90s, 5m or 1h30m, of less than a thousand years"
        )
    return found
