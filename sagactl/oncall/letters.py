"""`sagactl letters`: dead letters are listed, looked at, deleted, given another chance."""

from collections.abc import Sequence
from datetime import UTC, datetime
from operator import attrgetter
from typing import Annotated, Final, NoReturn

import typer
from msgspec import Struct
from msgspec.structs import asdict

from sagactl import output as output_
from sagactl.documents import Document
from sagactl.oncall import broker, trails
from sagactl.oncall.arguments import OfQueue, Queue
from sagactl.oncall.broker import DeadLetter, moment_of
from sagactl.oncall.redrive import redrive
from sagactl.oncall.status.standing import said
from sagactl.output import Column, Form, Output, Shown, table
from sagactl.screen import printable
from sagactl.terminal import Stack, absent, access, console, run
from sagactl.wording import masked, plural
from services.shared.contract.audit import Action

LOOKED_AT_MOST: Final = 10_000


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


class LetterList(Document, frozen=True, kw_only=True):
    items: tuple[Letter, ...]


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


def _age(since: str, now: datetime) -> str:
    """What others wrote there is shown as it is."""
    at = moment_of(since)
    return since if at is None else said(now - at)


Message = Annotated[
    str, typer.Argument(help="Its id, which `sagactl letters list` shows.", metavar="MESSAGE")
]
app = typer.Typer(no_args_is_help=True, help="Dead letters: messages that were given up, and why.")


@app.command("list")
def list_(
    stack: Stack = None,
    queue: OfQueue = None,
    limit: Annotated[int, typer.Option(help="At most this many per queue.")] = 100,
    output: Form = Output.TABLE,
) -> None:
    """Show every dead letter with its reason."""
    queues = [queue] if queue else list(broker.QUEUES)
    letters = run(broker.dead_letters(access(stack).amqp_url, queues, limit))
    found = [_readable(each) for each in letters]
    none = f"No dead letters in {queue or plural(len(queues), 'queue')}."
    text = table(found, "dead letter", columns(datetime.now(UTC)), none)
    output_.show(Shown(LetterList(items=tuple(found)), text, [each.id for each in found], found), output)


@app.command()
def show(queue: Queue, message: Message, stack: Stack = None, output: Form = Output.TABLE) -> None:
    """Show one dead letter, with its body."""
    letters = run(broker.dead_letters(access(stack).amqp_url, [queue], LOOKED_AT_MOST))
    letter = next((each for each in letters if each.id == message), None)
    if letter is None:
        _absent(queue, message)
    found = _readable(letter)
    lines = [f"[bold]{name}[/]: {printable(str(value))}" for name, value in asdict(found).items()]
    output_.show(Shown(LetterList(items=(found,)), lambda _: lines, [found.id], [found]), output)


@app.command()
@app.command("delete", hidden=True)  # its name before
def discard(queue: Queue, message: Message, stack: Stack = None) -> None:
    """Delete one dead letter for good, such as one of another system that nobody here can serve."""
    where = access(stack)

    async def recorded() -> DeadLetter | None:
        await trails.ask(where.mongodb_url, Action.LETTER_DELETED, message, queue)
        return await broker.delete(where.amqp_url, queue, message, LOOKED_AT_MOST)

    letter = run(recorded())
    if letter is None:
        _absent(queue, message)
    console.print(f"deleted: {printable(letter.summary)}", highlight=False, soft_wrap=True)


@app.command("redrive")
def redrive_command(
    queue: Queue,
    stack: Stack = None,
    message: Annotated[
        list[str] | None, typer.Option("--id", help="Only this message. May be given several times.")
    ] = None,
) -> None:
    """Give dead letters another chance. What was handled already is known, and not done twice."""
    where, ids = access(stack), message or ()

    async def recorded() -> list[str]:
        await trails.ask(where.mongodb_url, Action.LETTERS_REDRIVEN, queue, ", ".join(ids) or "all")
        return await redrive(where.amqp_url, queue, frozenset(ids))

    sent = run(recorded())
    console.print(f"{plural(len(sent), 'dead letter')} redriven to {queue}", highlight=False)


def _readable(letter: DeadLetter) -> Letter:
    return Letter(**letter._asdict() | {"body": masked(letter.body)})


def _absent(queue: str, message: str) -> NoReturn:
    absent(f"no dead letter {message} in {queue}: see sagactl letters list --queue {queue}")
