"""The one machine behind the tables: what becomes of an order, a payment, a line of stock.

A table has a cell for every state and everything that may come. A cell's rows are tried in turn; the last
one always holds, so that every pair has a decided outcome. The words in the rows (guards, records, what is
emitted) take the subject and what came, and are plain functions: a test holds each against its cell.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from typing import Any, Final, Generic, NamedTuple, Protocol, TypeAlias, TypeVar

from msgspec import Struct, structs

from services.shared.contract.decisions import Aggregate, Decision, Message, Premature, Refused, Verdict

# A publisher that sends nonsense forever does not fill the document: the latest are kept.
ATTENTION_LIMIT: Final = 50


class _Mark(StrEnum):
    NEW = "NEW"
    STAYS = "STAYS"


NEW: Final = _Mark.NEW
"""The state of what does not exist yet."""
STAYS: Final = _Mark.STAYS
"""Leads to no other state."""

Subject = TypeVar("Subject", bound=Struct)
Trigger = TypeVar("Trigger")
Emitted = TypeVar("Emitted")
Guard: TypeAlias = Callable[[Any, Any], bool]
Record: TypeAlias = Callable[[Any, Any], Any]
Emit: TypeAlias = Callable[[Any, Any], Any]


def always(_: object, __: object) -> bool:
    return True


def unchanged(subject: Subject, _: object) -> Subject:
    return subject


# --- rows -------------------------------------------------------------------------------------------------


class Step(NamedTuple):
    """It moves on (or stays, having learnt something), and says so. Where nothing changes, a duplicate."""

    to: StrEnum
    record: Record = unchanged
    emit: tuple[Emit, ...] = ()
    when: Guard = always


class Intent(NamedTuple):
    """The outside world is to be asked, once this is stored; if it is already, again with the same key."""

    to: StrEnum
    record: Record = unchanged
    when: Guard = always


class Duplicate(NamedTuple):
    """Known already: nothing changes, and the answer is what it was."""

    emit: tuple[Emit, ...] = ()
    when: Guard = always


class TooEarly(NamedTuple):
    """Ahead of its cause: to be tried again."""

    reason: str
    when: Guard = always


class Attention(NamedTuple):
    """Contradicts what happened: marked for a human to look at, with what must not be forgotten, and told to
    whom it concerns.
    """

    reason: str
    record: Record = unchanged
    emit: tuple[Emit, ...] = ()
    when: Guard = always


class Forbid(NamedTuple):
    """A command that the state does not allow."""

    reason: str
    when: Guard = always


Row: TypeAlias = Step | Intent | Duplicate | TooEarly | Attention | Forbid
Cells: TypeAlias = Mapping[tuple[StrEnum, type], tuple[Row, ...]]


# --- the machine ------------------------------------------------------------------------------------------


class Outcome(NamedTuple, Generic[Subject, Emitted]):
    """What a row makes of a subject. `contradiction` is the reason for attention, if there is one."""

    verdict: Verdict
    after: Subject
    emitted: tuple[Emitted, ...] = ()
    contradiction: str | None = None


class Table(Generic[Subject, Trigger, Emitted]):
    """`state` names the attribute of the subject that holds its state."""

    def __init__(self, cells: Cells, *, state: str = "state") -> None:
        self.cells, self._state = cells, state

    @cached_property
    def _ways(self) -> Collection["Way"]:
        """Whoever goes through the histories of all orders asks for them with each."""
        return frozenset(ways(self.cells))

    def row(self, state: StrEnum, subject: Subject, trigger: Trigger, kind: type | None = None) -> Row:
        """The first row that holds.

        `kind` is what the cell is named by, where that is not the trigger's type. `state` is NEW for a
        subject that does not exist yet; `subject` is a blank one then.
        """
        rows = self.cells[state, kind or type(trigger)]
        return next(row for row in rows if row.when(subject, trigger))

    def advance(
        self, state: StrEnum, subject: Subject, trigger: Trigger, kind: type | None = None
    ) -> Outcome[Subject, Emitted]:
        """Raises Premature, or Refused for a command that the state forbids."""
        match row := self.row(state, subject, trigger, kind):
            case Step():
                after = self.entered(row.to, row.record(subject, trigger))
                return Outcome(Verdict.APPLIED, after, tuple(emit(after, trigger) for emit in row.emit))
            case Duplicate():
                return Outcome(Verdict.DUPLICATE, subject, tuple(emit(subject, trigger) for emit in row.emit))
            case Attention():
                after = row.record(subject, trigger)
                told = tuple(emit(after, trigger) for emit in row.emit)
                return Outcome(Verdict.ATTENTION, after, told, contradiction=row.reason)
            case TooEarly():
                raise Premature(row.reason)
            case Intent():
                # It was something else when it was looked at for effects: it is looked at again.
                raise Premature("the outside world is to be asked first")
            case Forbid():  # pragma: no branch  # there is no other kind
                raise Refused(row.reason)

    def entered(self, to: StrEnum, subject: Subject) -> Subject:
        """`subject` in the state `to`."""
        return subject if to is STAYS else structs.replace(subject, **{self._state: to})

    def replay(self, history: Iterable[tuple[StrEnum | None, str, StrEnum]]) -> StrEnum:
        """Follows a history of (from, event, to) through the table and returns where it ends. It starts from
        None, out of nothing. Raises ValueError where it cannot have happened.
        """
        state: StrEnum = NEW
        for number, (from_, event, to) in enumerate(history):
            if (from_ or NEW) != state:
                raise ValueError(f"entry {number} starts from {from_ or NEW}, but it was {state}")
            if Way(state, event, to) not in self._ways:
                raise ValueError(f"entry {number}: {event} does not lead from {state} to {to}")
            state = to
        if state is NEW:
            raise ValueError("what exists has a history")
        return state


class Way(NamedTuple):
    """From one state to another, or to the same."""

    from_: StrEnum
    event: str
    to: StrEnum


class _Named(Protocol):
    type: str


def ways(cells: Cells) -> Iterable[Way]:
    """Every way that the table knows, in its order."""
    for (state, kind), rows in cells.items():
        for row in rows:
            if isinstance(row, Step | Intent):
                named: type[_Named] = kind
                yield Way(state, named.type, state if row.to is STAYS else row.to)


# --- attention --------------------------------------------------------------------------------------------


class Contradiction(Struct, frozen=True, rename="camel"):
    """An event that contradicts what happened: for a human to look at."""

    at: datetime
    event: str
    event_id: str
    reason: str


class Watched(Aggregate, frozen=True, kw_only=True):
    """An aggregate on which contradictions are marked: the latest, each once."""

    attention: tuple[Contradiction, ...] = ()

    @property
    def contradictions(self) -> tuple[str, ...]:
        return tuple(f"contradicts what happened: {each.reason}" for each in self.attention)


AnyWatched = TypeVar("AnyWatched", bound=Watched)


def marked(subject: AnyWatched, message: Message, event: str, reasons: Iterable[str | None]) -> AnyWatched:
    """`subject` with each reason (None is none) why `message`, an `event`, contradicts it."""
    known = {(each.event_id, each.reason) for each in subject.attention}
    new = tuple(
        Contradiction(message.at, event, message.id, reason)
        for reason in dict.fromkeys(reasons)
        if reason is not None and (message.id, reason) not in known
    )
    if not new:
        return subject
    return structs.replace(subject, attention=(*subject.attention, *new)[-ATTENTION_LIMIT:])


def concluded(
    before: AnyWatched | None, after: AnyWatched, outcome: Outcome[Any, Any], message: Message
) -> Decision:
    """What is decided about an aggregate with `updated_at`: where nothing changes, it is a duplicate."""
    if after == before:
        return Decision(events=outcome.emitted, reply=before, verdict=Verdict.DUPLICATE)
    after = structs.replace(after, updated_at=message.at)
    return Decision(changed=(after,), events=outcome.emitted, reply=after, verdict=outcome.verdict)
