"""The vocabulary of the business rules: pure functions from what is and what came to what shall be.

A rule gets the loaded aggregates and one message, and answers with a `Decision`, or raises. It does no I/O
and reads no clock: the time comes in with the message. `commit.py` does the rest, for every service alike.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import ClassVar, Final, NamedTuple, Protocol, TypeVar

from msgspec import Struct, field, structs

from services.shared.contract import audit
from services.shared.contract.audit import Action, By, Entry
from services.shared.contract.codes import Code
from services.shared.contract.events import Event

RIGHT_AWAY: Final = datetime(2000, 1, 1, tzinfo=UTC)
"""A time that has come, whatever the clock says: for what is to be looked at next."""


class Standing(NamedTuple):
    """Where an aggregate stands in the life of an order, in the words of the logs."""

    order_id: str
    state: str
    # What is known beside the state: reasons, amounts, what is still to come.
    notes: tuple[str, ...] = ()


class Aggregate(Struct, frozen=True, rename="camel", kw_only=True):
    """What is loaded, changed and stored as one document. Never changed in place."""

    collection: ClassVar[str]
    id: str = field(name="_id")
    # How often it was stored. The engine counts.
    version: int = 0
    # Digests of the latest messages whose home this is and that had an effect, newest last. The engine's.
    seen: tuple[bytes, ...] = ()

    @property
    def standing(self) -> Standing | None:
        """None for what is no part of an order's life."""
        return None


AnyAggregate = TypeVar("AnyAggregate", bound=Aggregate)


class Ref(NamedTuple):
    """Names an aggregate, whether it exists or not."""

    kind: type[Aggregate]
    id: str


class Message(Struct, frozen=True, kw_only=True):
    """An input: an event from a queue, or a command from HTTP."""

    id: str
    # The queue it came by, or "http". An id is handled once per source.
    source: str
    body: object
    at: datetime
    # W3C trace context of the span that handles it: what it causes is traced under it.
    traceparent: str | None = None
    # What other systems add to it, passed on as it came.
    tracestate: str | None = None
    # No retry follows: who can decide without waiting any longer has to.
    last_try: bool = False
    # It was delivered before, retried, redriven, or sent by a publisher who may repeat itself.
    may_repeat: bool = False
    # Who asks for it, of a command that is to be answered for.
    by: By | None = None

    @property
    def trace_id(self) -> str | None:
        return self.traceparent.split("-")[1] if self.traceparent else None


class Verdict(StrEnum):
    APPLIED = "applied"
    DUPLICATE = "duplicate"
    # It contradicts what happened: recorded on the aggregate, for a human to look at.
    ATTENTION = "attention"


class Decision(Struct, frozen=True, kw_only=True):
    """What shall be: changed aggregates, events to publish, the answer to whoever asked."""

    changed: tuple[Aggregate, ...] = ()
    events: tuple[Event, ...] = ()
    reply: object = None
    verdict: Verdict = Verdict.APPLIED
    # The command was carried out before, when it came with the same idempotency key.
    replayed: bool = False
    # What goes to the audit trail, in the same transaction.
    audit: tuple[Entry, ...] = ()


def audited(
    decision: Decision,
    message: Message,
    action: Action,
    subject: str,
    *,
    reason: str | None = None,
    detail: str = "",
) -> Decision:
    """With an entry for the trail, where the command has an effect, and somebody is known to ask for it."""
    if message.by is None or not decision.changed or decision.verdict is not Verdict.APPLIED:
        return decision
    told = audit.entry(message.id, message.at, message.by, action, subject, reason=reason, detail=detail)
    return structs.replace(decision, audit=(*decision.audit, told))


class Loaded(Protocol):
    """The aggregates at hand, as earlier messages of the batch left them."""

    def get(self, kind: type[AnyAggregate], id_: str) -> AnyAggregate | None: ...


class Domain(NamedTuple):
    """A service's rules, as the engine wants them."""

    # The one aggregate that a message is about, and that remembers having seen it.
    home: Callable[[Message], Ref]
    # Which aggregates a message needs beside its home. Asked again once those are loaded, until it names
    # nothing new: a release names the stock that its reservation holds.
    reads: Callable[[Message, Loaded], Iterable[Ref]]
    decide: Callable[[Loaded, Message], Decision]


class AtHand:
    """What is loaded so far: what is not there yet reads as absent."""

    def __init__(self, loaded: Mapping[Ref, Aggregate | None]) -> None:
        self._loaded = loaded

    def get(self, kind: type[AnyAggregate], id_: str) -> AnyAggregate | None:
        # A ref's kind is its aggregate's type.
        return self._loaded.get(Ref(kind, id_))  # type: ignore[return-value]  # a Ref names its kind


def still_needed(
    domain: Domain, messages: Iterable[Message], loaded: Mapping[Ref, Aggregate | None]
) -> set[Ref]:
    """What is to be loaded next, so that the messages can be decided: nothing, once all is at hand."""
    known = AtHand(loaded)
    return {
        ref
        for message in messages
        for ref in (domain.home(message), *domain.reads(message, known))
        if ref not in loaded
    }


class Premature(Exception):
    """The message is ahead of its cause: to be tried again later."""


class Rejected(Exception):
    """The message can never be served here: to the dead letters at once, with this reason."""


class Refused(Exception):
    """A command that the state forbids. The text tells the caller what to do.

    `members` go with it, for programs to read: what there is, where less was asked for.
    """

    code: ClassVar[Code] = Code.STATE_FORBIDS

    def __init__(self, detail: str, **members: object) -> None:
        super().__init__(detail)
        self.members = members


class Stale(Refused):
    """The command is about a revision that has been overtaken."""

    code = Code.PRECONDITION_FAILED


class NotFound(Refused):
    """What the command is about does not exist, or not for this caller."""

    code = Code.NOT_FOUND


class KeyReused(Refused):
    """The idempotency key was used before, for something else."""

    code = Code.IDEMPOTENCY_KEY_REUSED


class Unavailable(Exception):
    """The command was not carried out; with `unknown`, it is not known whether it was. Try again."""

    code: ClassVar[Code] = Code.UNAVAILABLE

    def __init__(self, detail: str, *, unknown: bool = False) -> None:
        super().__init__(detail)
        self.unknown = unknown


class Overloaded(Unavailable):
    """There is more to do than can be done in time: nothing was done about this."""

    code = Code.OVERLOADED


class Deferred(Exception):
    """The outcome of a side effect is unknown: to be tried again, ever more slowly, until it is."""
