"""Dead letters of one cause, as far as words tell; and the order that one is about. Pure."""

import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final, NamedTuple

from sagactl.oncall.broker import DeadLetter
from sagactl.oncall.jobs.job import Chosen
from services.shared.contract import wire
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


def alike(letters: Iterable[DeadLetter]) -> Sequence[Alike]:
    """The largest first."""
    found: dict[Cause, list[DeadLetter]] = {}
    for letter in letters:
        cause = Cause(letter.queue, letter.type, letter.kind, blanked(hidden(letter.reason)))
        found.setdefault(cause, []).append(letter)
    return [Alike(*each) for each in sorted(found.items(), key=lambda each: (-len(each[1]), each[0]))]


def blanked(reason: str) -> str:
    return IDS.sub(BLANK, reason)


def order_in(letter: DeadLetter | Chosen) -> str:
    """The id of the order that it is about; empty where it is about none.

    Older publishers say it in the body alone; what cannot be read is about nothing.
    """
    if letter.type and letter.type not in OF_ORDERS:
        return ""
    if letter.type and letter.subject:
        return letter.subject
    if isinstance(letter, Chosen):
        return ""
    try:
        event = wire.decode(letter.queue, letter.body)
    except wire.InvalidMessage:
        return ""
    return event.subject if isinstance(event, OrderEvent) else ""
