"""Dead letters of one cause, as far as words tell; and the order that one is about. Pure."""

import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final, NamedTuple, Protocol

from sagactl.oncall.broker import DeadLetter
from services.shared.contract.events import CONSUMES, OrderEvent
from services.shared.emails import hidden

# What tells one reason from another of the same cause.
IDS: Final = re.compile(r"\b[0-9a-fA-F]{8}-?[0-9a-fA-F-]{4,}\b|\b\d+\b")
BLANK: Final = "…"
OF_ORDERS: Final = frozenset(
    kind.type
    for queues in CONSUMES.values()
    for kinds in queues.values()
    for kind in kinds
    if issubclass(kind, OrderEvent)
)


class Cause(NamedTuple):
    queue: str
    type: str
    kind: str
    # Without what is said of one letter alone, and without addresses of customers.
    reason: str


class Alike(NamedTuple):
    cause: Cause
    letters: Sequence[DeadLetter]

    @property
    def span(self) -> tuple[datetime | None, datetime | None]:
        """When the first and the last of them failed first; None where no header tells."""
        times = sorted(filter(None, (letter.first_failed for letter in self.letters)))
        return (times[0], times[-1]) if times else (None, None)


class About(Protocol):
    @property
    def subject(self) -> str: ...

    @property
    def type(self) -> str: ...


def alike(letters: Iterable[DeadLetter]) -> Sequence[Alike]:
    """The largest first."""
    found: dict[Cause, list[DeadLetter]] = {}
    for letter in letters:
        cause = Cause(letter.queue, letter.type, letter.kind, blanked(hidden(letter.reason)))
        found.setdefault(cause, []).append(letter)
    return [Alike(*each) for each in sorted(found.items(), key=lambda each: (-len(each[1]), each[0]))]


def blanked(reason: str) -> str:
    return IDS.sub(BLANK, reason)


def order_in(letter: About) -> str:
    """The id of the order that it is about; empty where it is about none."""
    return letter.subject if letter.type in OF_ORDERS else ""
