"""What a job is: letters, dead or discarded, that somebody chose, and what becomes of them. Pure."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Final

from msgspec import Struct, structs

from sagactl.documents import Document
from sagactl.exits import Exit


class Verb(StrEnum):
    REDRIVE = "redrive"
    DISCARD = "discard"
    # Of those that were discarded, and are kept.
    RESTORE = "restore"

    @property
    def noun(self) -> str:
        """What it is done to."""
        return "discarded letter" if self is Verb.RESTORE else "dead letter"


class Outcome(StrEnum):
    # It is where it was, as far as anybody knows: a dead letter, or one that is kept.
    PLANNED = "planned"
    # It was taken from the dead letters, and is in its queue again, or in a retry queue.
    SENT = "sent"
    # Its consumer knows it: it has had its effect, or had it before.
    HANDLED = "handled"
    # It has left its queue, and nothing came of it: such as a message that was outdated.
    NO_EFFECT = "without effect"
    # It was given up again.
    DEAD = "dead again"
    # It was put away, or was no dead letter any more when its turn came.
    DISCARDED = "discarded"
    # It is a dead letter again, or was one already.
    RESTORED = "restored"
    # To be restored it is kept no more, and no dead letter either: it expired, or somebody was faster.
    GONE = "gone"


# Something is to be done still, or to be waited for.
OPEN: Final = frozenset({Outcome.PLANNED, Outcome.SENT})
# It came to no good end.
BAD: Final = frozenset({Outcome.DEAD, Outcome.GONE})


class Chosen(Struct, frozen=True, rename="camel"):
    """A dead letter, or one that was discarded, as far as it is chosen by it."""

    queue: str
    id: str
    # The order, or the product, that it is about.
    subject: str
    type: str
    kind: str
    reason: str
    # None where its headers do not tell.
    first_failed_at: datetime | None = None
    # When it was discarded, and why; None while it is a dead letter.
    discarded_at: datetime | None = None
    discarded_for: str = ""


class Selector(Struct, frozen=True, rename="camel", kw_only=True, omit_defaults=True):
    """Which letters: those of which all holds that is given."""

    queues: tuple[str, ...] = ()
    kind: str | None = None
    type: str | None = None
    about: str | None = None
    # Some of the text of why it is a dead letter, or of why it was discarded.
    reason: str | None = None
    # When it first failed; of what was discarded, when that was.
    since: datetime | None = None
    until: datetime | None = None

    def matches(self, letter: Chosen) -> bool:
        at = letter.discarded_at or letter.first_failed_at
        reasons = (letter.reason, letter.discarded_for)
        return (
            (not self.queues or letter.queue in self.queues)
            and self.kind in {None, letter.kind}
            and self.type in {None, letter.type}
            and self.about in {None, letter.subject}
            and (self.reason is None or any(self.reason in each for each in reasons))
            and (self.since is None or (at is not None and at >= self.since))
            and (self.until is None or (at is not None and at < self.until))
        )


class Step(Struct, frozen=True, rename="camel"):
    """One letter of a job."""

    letter: Chosen
    outcome: Outcome = Outcome.PLANNED
    # Why it was given up again.
    why: str = ""


class Change(Struct, frozen=True, rename="camel"):
    """What became of a step, by its number."""

    step: int
    outcome: Outcome
    at: datetime
    why: str = ""


class Job(Document, frozen=True, kw_only=True):
    id: str
    verb: Verb
    # Why, in the words of whoever began it.
    reason: str
    begun_at: datetime
    selector: Selector
    steps: tuple[Step, ...]

    @property
    def is_over(self) -> bool:
        return not any(step.outcome in OPEN for step in self.steps)

    @property
    def code(self) -> Exit:
        """How a command ends that has done what it could."""
        outcomes = {step.outcome for step in self.steps}
        if outcomes & BAD:
            return Exit.BAD
        return Exit.NOT_YET if outcomes & OPEN else Exit.FINE

    def of(self, *outcomes: Outcome) -> Mapping[int, Step]:
        """By number: those to which this has happened."""
        return {number: step for number, step in enumerate(self.steps) if step.outcome in outcomes}

    def after(self, changes: Iterable[Change]) -> "Job":
        steps = list(self.steps)
        for change in changes:
            steps[change.step] = Step(steps[change.step].letter, change.outcome, change.why)
        return structs.replace(self, steps=tuple(steps))


def tally(job: Job) -> Mapping[Outcome, int]:
    """How many came to what, in the order of a letter's life."""
    counted = Counter(step.outcome for step in job.steps)
    return {outcome: counted[outcome] for outcome in Outcome if counted[outcome]}


def groups(letters: Sequence[Chosen]) -> Mapping[tuple[str, str, str], int]:
    """How many of a queue, a type and a kind, the most first."""
    return dict(Counter((each.queue, each.type, each.kind) for each in letters).most_common())


def followed(
    job: Job,
    dead: Mapping[tuple[str, str], str],
    handled: Iterable[tuple[str, str]],
    empty: Collection[str],
    at: datetime,
) -> Iterator[Change]:
    """What is seen to have become of what was sent. Letters are (queue, id); `dead`: with the reason.
    `empty`: queues that were empty, with their retry queues, before the others were looked for.

    Handled goes first: of a letter that came twice one may be dead, and has had its effect all the same.
    """
    known = frozenset(handled)
    for number, step in job.of(Outcome.SENT).items():
        letter = (step.letter.queue, step.letter.id)
        if letter in known:
            yield Change(number, Outcome.HANDLED, at)
        elif letter in dead:
            yield Change(number, Outcome.DEAD, at, dead[letter])
        elif step.letter.queue in empty:
            yield Change(number, Outcome.NO_EFFECT, at)
