"""What there is to say about an order: one struct, of which the terminal and JSON are two faces."""

from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from msgspec import Struct

from sagactl.documents import Document


class HopState(StrEnum):
    DONE = "done"
    # In the queue of its consumer, with it, or waiting to be tried again.
    ON_ITS_WAY = "onItsWay"
    # Committed by its publisher, and not confirmed by the broker.
    IN_OUTBOX = "inOutbox"
    DEAD_LETTER = "deadLetter"
    # Somebody put it away on purpose, and it can be taken back.
    DISCARDED = "discarded"
    # It must exist, and is nowhere.
    MISSING = "missing"
    # Whether it came or not: its consumer does nothing about it, and so leaves no mark.
    WITHOUT_EFFECT = "withoutEffect"
    # Its consumer does not remember so far back.
    CANNOT_BE_TOLD = "cannotBeTold"


# A message that is there, and is not done.
UNDER_WAY = frozenset({HopState.ON_ITS_WAY, HopState.IN_OUTBOX})
# One that is still to have its effect.
OPEN = UNDER_WAY | {HopState.DEAD_LETTER, HopState.DISCARDED, HopState.MISSING}


class Verdict(StrEnum):
    SETTLED = "settled"
    MOVING = "moving"
    # As moving, but for longer than it takes while everything runs.
    WAITING = "waiting"
    # A message is missing or dead, or nothing is on its way though the order is not at its end.
    STUCK = "stuck"
    # What the services know does not agree.
    CONTRADICTED = "contradicted"
    UNKNOWN = "unknown"


class Outcome(StrEnum):
    """What handling a message would do."""

    APPLIES = "applies"
    ASKS_THE_GATEWAY = "asksTheGateway"
    NOTHING = "nothing"
    # It contradicts what happened: it is marked, for somebody to look at.
    ATTENTION = "attention"
    # It is ahead of its cause.
    IS_RETRIED = "isRetried"
    FAILS = "fails"


class Preview(Struct, frozen=True, rename="camel"):
    """A dry run: what the rules would do with a message, or a command, as things stand."""

    outcome: Outcome
    says: str
    emits: tuple[str, ...] = ()


class Hop(Struct, frozen=True, rename="camel", kw_only=True):
    """One event on its way to one queue."""

    id: str
    type: str
    publisher: str
    queue: str
    consumer: str
    state: HopState
    # What it was caused by: `queue/id` of a message, `http/id` of a command; None for what others sent.
    cause: str | None = None
    # When it was handled, where that is known; while it is in the outbox, when it was committed.
    at: datetime | None = None
    # When its publisher decided on it, where that is known.
    sent_at: datetime | None = None
    reason: str | None = None
    # Of a dead letter: what redriving it would do; of one that was discarded, once it is restored.
    redrive: Preview | None = None

    @property
    def name(self) -> str:
        return f"{self.queue}/{self.id}"

    @property
    def changes_nothing(self) -> bool:
        """Of a letter: nothing would come of it."""
        return self.redrive is not None and self.redrive.outcome is Outcome.NOTHING


class Next(Struct, frozen=True, rename="camel"):
    """What the order waits for, and what it does then."""

    event: str
    publisher: str
    queue: str
    # Such as `CONFIRMED -> PAID`, by each row of the table that may hold.
    effects: tuple[str, ...]


class Deadline(Struct, frozen=True, rename="camel"):
    at: datetime
    what: str


class Action(Struct, frozen=True, rename="camel"):
    """A command, and whether the table allows it."""

    name: str
    allowed: bool
    # What it would do; the table's own sentence why not.
    says: str
    emits: tuple[str, ...] = ()


class Advice(Struct, frozen=True, rename="camel"):
    """What to do now. `command` is to be pasted, where there is one."""

    says: str
    command: str | None = None


class Book(Struct, frozen=True, rename="camel"):
    """What one service says of the order."""

    service: str
    state: str
    notes: tuple[str, ...] = ()


class Glance(NamedTuple):
    """What a list says of an order, in the words of its Explanation."""

    order: str
    verdict: Verdict
    because: str
    missing: tuple[str, ...]


class Explanation(Document, frozen=True, kw_only=True):
    order: str
    at: datetime
    verdict: Verdict
    because: str
    books: tuple[Book, ...] = ()
    # Of the hops that are missing, `queue/id`.
    missing: tuple[str, ...] = ()
    hops: tuple[Hop, ...] = ()
    next: tuple[Next, ...] = ()
    deadline: Deadline | None = None
    actions: tuple[Action, ...] = ()
    advice: tuple[Advice, ...] = ()
    # What does not agree: invariants that are broken at rest, and contradictions that services marked.
    findings: tuple[str, ...] = ()
