"""`sagactl letters`: dead letters are listed, told by cause, looked at, given another chance, put away."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import Annotated, Any, Final

import typer
from msgspec import Struct
from msgspec.structs import asdict, replace

from sagactl import output as output_
from sagactl.access import Access
from sagactl.documents import Document
from sagactl.oncall import broker, discarded, trails
from sagactl.oncall.arguments import Message, OfQueue, Queue
from sagactl.oncall.books import reading
from sagactl.oncall.broker import AT_ONCE, DeadLetter, moment_of
from sagactl.oncall.causes import Alike, alike, order_in
from sagactl.oncall.discarded import Discarded
from sagactl.oncall.explain.explanation import Outcome, Preview
from sagactl.oncall.explain.reading import Reader
from sagactl.oncall.letter_acts import discard, restore
from sagactl.oncall.redrive import redrive
from sagactl.oncall.status.standing import said
from sagactl.output import Column, Form, Output, Shown, table
from sagactl.screen import printable
from sagactl.terminal import Stack, access, console, run
from sagactl.wording import masked, plural
from services.shared.contract.audit import Action

NO_ORDER: Final = "is about no order: the effect is not known before"


class Putting(Struct, frozen=True, rename="camel", kw_only=True):
    """How a dead letter was put away."""

    at: datetime
    # Of a person with the tools' passwords the name on their machine, at the console the account's id.
    by: str
    # In their words.
    why: str
    # When it expires; None where nobody told the database.
    until: datetime | None

    @classmethod
    def of(cls, letter: Discarded, lasting: timedelta | None) -> "Putting":
        until = None if lasting is None else letter.at + lasting
        return cls(at=letter.at, by=letter.who, why=letter.reason, until=until)


class Letter(Struct, frozen=True, rename="camel"):
    """A dead letter, without the secrets of its body."""

    queue: str
    id: str
    # The order, or the product, that it is about.
    subject: str
    type: str
    kind: str
    reason: str
    attempts: int
    first_failed_at: str
    trace: str
    body: str
    # None while it is a dead letter.
    discarded: Putting | None = None


class LetterList(Document, frozen=True, kw_only=True):
    items: tuple[Letter, ...]


class Group(Struct, frozen=True, rename="camel", kw_only=True):
    """Dead letters that were given up for the same cause, as far as words tell."""

    queue: str
    type: str
    kind: str
    # Without ids, numbers and addresses, by which reasons of one cause differ.
    reason: str
    letters: int
    # When the first and the last of them failed first; None where no header tells.
    first: datetime | None
    last: datetime | None

    @classmethod
    def of(cls, found: Alike) -> "Group":
        first, last = found.span
        return cls(**found.cause._asdict(), letters=len(found.letters), first=first, last=last)


class LetterGroupList(Document, frozen=True, kw_only=True):
    # The largest first.
    items: tuple[Group, ...]


class LetterPreview(Struct, frozen=True, rename="camel", kw_only=True):
    """What redriving a dead letter would do, as things stand."""

    queue: str
    id: str
    type: str
    # Empty where it is about no order.
    order: str
    # None where it is about no order: nobody can tell then.
    outcome: Outcome | None
    says: str
    emits: tuple[str, ...] = ()

    @classmethod
    def of(cls, letter: DeadLetter, found: Preview | None) -> "LetterPreview":
        outcome, says, emits = (found.outcome, found.says, found.emits) if found else (None, NO_ORDER, ())
        return cls(
            queue=letter.queue,
            id=letter.id,
            type=letter.type,
            order=order_in(letter),
            outcome=outcome,
            says=says,
            emits=emits,
        )


class LetterPreviewList(Document, frozen=True, kw_only=True):
    items: tuple[LetterPreview, ...]


def group_columns(now: datetime) -> Sequence[Column[Group]]:
    return (
        Column("letters", attrgetter("letters")),
        Column("queue", attrgetter("queue")),
        Column("type", attrgetter("type")),
        Column("kind", attrgetter("kind")),
        Column("reason", attrgetter("reason")),
        Column("failed for", lambda each: each.first and said(now - each.first)),
        Column("first", attrgetter("first"), wide=True),
        Column("last", attrgetter("last"), wide=True),
    )


PREVIEW_COLUMNS: Final[Sequence[Column[LetterPreview]]] = (
    Column("message", attrgetter("id"), whole=True),
    Column("type", attrgetter("type")),
    Column("if redriven", attrgetter("says")),
    Column("emits", lambda each: ", ".join(each.emits)),
    Column("order", attrgetter("order"), wide=True),
    Column("outcome", attrgetter("outcome"), wide=True),
)


def columns(now: datetime) -> Sequence[Column[Letter]]:
    return (
        Column("queue", attrgetter("queue")),
        Column("message", attrgetter("id")),
        Column("about", attrgetter("subject")),
        Column("type", attrgetter("type")),
        Column("kind", attrgetter("kind")),
        Column("reason", attrgetter("reason")),
        Column("attempts", attrgetter("attempts")),
        Column("failed for", lambda each: _age(each.first_failed_at, now)),
        Column("first failed", attrgetter("first_failed_at"), wide=True),
        Column("trace", attrgetter("trace"), wide=True),
    )


def discarded_columns(now: datetime) -> Sequence[Column[Letter]]:
    def of(name: str) -> Callable[[Letter], Any]:
        return lambda each: each.discarded and getattr(each.discarded, name)

    return (
        Column("queue", attrgetter("queue")),
        Column("message", attrgetter("id"), whole=True),
        Column("type", attrgetter("type")),
        Column("discarded", lambda each: (at := of("at")(each)) and f"{said(now - at)} ago"),
        Column("by", of("by")),
        Column("why", of("why")),
        Column("about", attrgetter("subject"), wide=True),
        Column("kind", attrgetter("kind"), wide=True),
        Column("reason", attrgetter("reason"), wide=True),
        Column("kept until", of("until"), wide=True),
        Column("at", of("at"), wide=True),
    )


def _age(since: str, now: datetime) -> str:
    """What others wrote there is shown as it is."""
    at = moment_of(since)
    return since if at is None else said(now - at)


Those = Annotated[bool, typer.Option("--discarded", help="Discarded letters instead of dead letters.")]
Ids = Annotated[list[str] | None, typer.Option("--id", help="Only this message. May be given several times.")]
app = typer.Typer(
    no_args_is_help=True, help="Dead letters: messages that cannot be handled, each with its reason."
)


@app.command("list")
def list_(
    stack: Stack = None,
    queue: OfQueue = None,
    limit: Annotated[int, typer.Option(help="At most this many letters per queue.")] = 100,
    discarded: Those = False,  # noqa: FBT002  # an option
    output: Form = Output.TABLE,
) -> None:
    """Show every dead letter with its reason; or the discarded ones, with who discarded them and why."""
    queues, where, now = [queue] if queue else list(broker.QUEUES), access(stack), datetime.now(UTC)
    in_ = queue or plural(len(queues), "queue")
    if discarded:
        found = run(_discarded(where, queues, limit))
        none = f"No discarded letters of {in_} are kept."
        text = table(found, "discarded letter", discarded_columns(now), none)
    else:
        found = [*map(readable, run(broker.dead_letters(where.amqp_url, queues, limit)))]
        text = table(found, "dead letter", columns(now), f"No dead letters in {in_}.")
    output_.show(Shown(LetterList(items=tuple(found)), text, [each.id for each in found], found), output)


@app.command()
def groups(
    stack: Stack = None,
    queue: OfQueue = None,
    limit: Annotated[int, typer.Option(help="At most this many letters per queue.")] = AT_ONCE,
    output: Form = Output.TABLE,
) -> None:
    """Show dead letters by cause: their number per queue, type, kind and reason, the largest first."""
    queues = [queue] if queue else list(broker.QUEUES)
    letters = run(broker.dead_letters(access(stack).amqp_url, queues, limit))
    found = tuple(map(Group.of, alike(letters)))
    none = f"No dead letters in {queue or plural(len(queues), 'queue')}."
    text = table(found, "cause", group_columns(datetime.now(UTC)), none)
    names = list(dict.fromkeys(each.queue for each in found))
    output_.show(Shown(LetterGroupList(items=found), text, names, found), output)


@app.command("preview")
def preview_command(
    queue: Queue,
    stack: Stack = None,
    message: Ids = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most this many letters.")] = 50,
    output: Form = Output.TABLE,
) -> None:
    """Show what redriving dead letters would do, by the services' own rules. Only reads."""
    where, ids = access(stack), frozenset(message or ())
    found = run(_previews(where, queue, ids, limit))
    text = table(found, "dead letter", PREVIEW_COLUMNS, f"No dead letters in {queue}.")
    shown = Shown(LetterPreviewList(items=found), text, [each.id for each in found], found)
    output_.show(shown, output)


async def _previews(where: Access, queue: str, ids: frozenset[str], limit: int) -> tuple[LetterPreview, ...]:
    letters = await broker.dead_letters(where.amqp_url, [queue], AT_ONCE)
    chosen = [each for each in letters if not ids or each.id in ids][:limit]
    if missing := ids - {each.id for each in chosen}:
        raise broker.absent(queue, min(missing))
    of_orders = [each for each in chosen if order_in(each)]
    async with reading(where.mongodb_url) as books:
        told = await Reader(where).previews(books, of_orders)
    previews = {each.id: found for each, found in zip(of_orders, told, strict=True)}
    return tuple(LetterPreview.of(each, previews.get(each.id)) for each in chosen)


@app.command()
def show(
    queue: Queue,
    message: Message,
    stack: Stack = None,
    discarded: Those = False,  # noqa: FBT002  # an option
    output: Form = Output.TABLE,
) -> None:
    """Show one dead letter, or one discarded letter, with its body."""
    where = access(stack)
    if discarded:
        found = run(_one_discarded(where, queue, message))
    else:
        found = readable(run(broker.dead_letter(where.amqp_url, queue, message)))
    lines = [f"[bold]{name}[/]: {printable(str(value))}" for name, value in _said(found).items()]
    output_.show(Shown(LetterList(items=(found,)), lambda _: lines, [found.id], [found]), output)


app.command()(discard)
app.command("delete", hidden=True)(discard)  # its name before
app.command()(restore)


@app.command("redrive")
def redrive_command(
    queue: Queue,
    stack: Stack = None,
    message: Ids = None,
) -> None:
    """Retry dead letters. Messages that were handled before have no second effect."""
    where, ids = access(stack), message or ()

    async def recorded() -> list[str]:
        await trails.ask(where.mongodb_url, Action.LETTERS_REDRIVEN, queue, ", ".join(ids) or "all")
        return await redrive(where.amqp_url, queue, frozenset(ids))

    sent = run(recorded())
    console.print(f"{plural(len(sent), 'dead letter')} redriven to {queue}", highlight=False)


async def _discarded(where: Access, queues: Sequence[str], limit: int) -> list[Letter]:
    async with discarded.opened(where.mongodb_url) as kept:
        lasting = await kept.lasting()
        return [put_away(each, lasting) for queue in queues for each in await kept.latest(queue, limit)]


async def _one_discarded(where: Access, queue: str, message: str) -> Letter:
    """The latest with this id. Raises AbsentError where none is kept."""
    async with discarded.opened(where.mongodb_url) as kept:
        letters = await kept.of(queue, message)
        if not letters:
            raise discarded.absent(queue, message)
        return put_away(letters[0], await kept.lasting())


def readable(letter: DeadLetter) -> Letter:
    return Letter(**letter._asdict() | {"body": masked(letter.body)})


def put_away(letter: Discarded, lasting: timedelta | None) -> Letter:
    return replace(readable(letter.letter), discarded=Putting.of(letter, lasting))


def _said(letter: Letter) -> dict[str, object]:
    """What is not there is left out."""
    putting = letter.discarded
    found = {**asdict(letter)} | ({} if putting is None else asdict(putting))
    return {name: value for name, value in found.items() if name != "discarded"}
