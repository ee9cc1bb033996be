"""Text in plain English, and without secrets: for a terminal and for pages alike."""

import re
import shlex
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from saga_operator.policy.durations import parse_duration

# A body may hold them, and a screen should not show them: whoever has them may act for the customer.
SECRET: Final = re.compile(r'("(?:paymentToken|url)"\s*:\s*)"(?:[^"\\]|\\.)*"')


def masked(body: bytes) -> str:
    return SECRET.sub(r'\1"***"', body.decode(errors="replace"))


def command_line(name: str, *words: str, **options: str | Sequence[str] | bool | None) -> str:
    """A command of sagactl as it is pasted into a shell: others' ids may hold anything a shell understands.

    Options that are None or False are left out; those that are True have no value; those that are several are
    said several times.
    """
    said = [word for option in options.items() for word in _option(option)]
    if any(word.startswith("-") for word in words):
        return shlex.join(["sagactl", *name.split(), *said, "--", *words])
    return shlex.join(["sagactl", *name.split(), *words, *said])


def _option(option: tuple[str, str | Sequence[str] | bool | None]) -> Sequence[str]:
    name, value = option
    said = f"--{name.replace('_', '-')}"
    if isinstance(value, str):
        return said, value
    if isinstance(value, Sequence):
        return [word for each in value for word in (said, each)]
    return (said,) if value else ()


def since(text: str) -> datetime:
    """`2h` is two hours ago; a date, or date and time (of UTC unless it says otherwise), is itself: of UTC.

    Raises ValueError, also for a time before the first year or after the last.
    """
    try:
        return _moment(text)
    except OverflowError as error:
        raise ValueError(f"{text}: there is no such year") from error


def _moment(text: str) -> datetime:
    try:
        return datetime.now(UTC) - parse_duration(text)
    except ValueError:
        given = datetime.fromisoformat(text)
        return given.astimezone(UTC) if given.tzinfo else given.replace(tzinfo=UTC)


def plural(number: int, noun: str) -> str:
    if number == 1:
        return f"1 {noun}"
    return f"{number} {noun[:-1]}ies" if noun.endswith("ry") else f"{number} {noun}s"
