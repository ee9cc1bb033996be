"""`sagactl letters`: dead letters are listed, looked at, deleted, given another chance."""

import json
from typing import Annotated, Any, Final, NoReturn

import typer
from rich.table import Table

from sagactl.oncall import broker, trails
from sagactl.oncall.broker import DeadLetter
from sagactl.oncall.redrive import redrive
from sagactl.screen import masked, plural, printable
from sagactl.terminal import AsJson, Stack, absent, access, console, run
from services.shared.contract.audit import Action


def _known(queue: str | None) -> str | None:
    """An option's or argument's callback: only a queue that there is."""
    if queue is not None and queue not in broker.QUEUES:
        raise typer.BadParameter(f"there is no queue {queue}: there are {', '.join(broker.QUEUES)}")
    return queue


LOOKED_AT_MOST: Final = 10_000
HEADINGS: Final = ("queue", "message", "about", "type", "kind", "reason", "attempts", "first failed")
Queue = Annotated[
    str, typer.Argument(help=f"One of {', '.join(broker.QUEUES)}.", metavar="QUEUE", callback=_known)
]
Message = Annotated[
    str, typer.Argument(help="Its id, which `sagactl letters list` shows.", metavar="MESSAGE")
]
app = typer.Typer(no_args_is_help=True, help="Dead letters: messages that were given up, and why.")


@app.command("list")
def list_(
    stack: Stack = None,
    queue: Annotated[str | None, typer.Option(help="Only those of this queue.", callback=_known)] = None,
    limit: Annotated[int, typer.Option(help="At most this many per queue.")] = 100,
    as_json: AsJson = False,  # noqa: FBT002  # an option
) -> None:
    """Show every dead letter with its reason."""
    queues = [queue] if queue else list(broker.QUEUES)
    letters = run(broker.dead_letters(access(stack).amqp_url, queues, limit))
    if as_json:
        typer.echo(json.dumps([_readable(each) for each in letters], indent=2))
    elif letters:
        console.print(_table(letters))
    else:
        console.print(f"No dead letters in {queue or plural(len(queues), 'queue')}.", highlight=False)


@app.command()
def show(queue: Queue, message: Message, stack: Stack = None) -> None:
    """Show one dead letter, with its body."""
    letters = run(broker.dead_letters(access(stack).amqp_url, [queue], LOOKED_AT_MOST))
    letter = next((each for each in letters if each.id == message), None)
    if letter is None:
        _absent(queue, message)
    for name, value in _readable(letter).items():
        console.print(f"[bold]{name}[/]: {printable(str(value))}", highlight=False)


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


def _table(letters: list[DeadLetter]) -> Table:
    table = Table(title=plural(len(letters), "dead letter"))
    for heading in HEADINGS:
        table.add_column(heading, overflow="fold")
    for each in letters:
        row = (each.queue, each.id, each.subject, each.type, each.kind, each.reason)
        table.add_row(*map(printable, row), str(each.attempts), printable(each.first_failed_at))
    return table


def _readable(letter: DeadLetter) -> dict[str, Any]:
    """All of it as text, without the secrets of its body."""
    return {**letter._asdict(), "body": masked(letter.body)}


def _absent(queue: str, message: str) -> NoReturn:
    absent(f"no dead letter {message} in {queue}: see sagactl letters list --queue {queue}")
