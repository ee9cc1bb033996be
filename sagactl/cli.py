"""The operators' command line. Everything it reads from, it reads with users of its own."""

import asyncio
import json
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from aio_pika.exceptions import AMQPError
from pymongo.errors import PyMongoError
from rich.console import Console
from rich.table import Table

from sagactl.access import URLS, Access, NoAccessError
from sagactl.oncall import broker, sweep
from sagactl.oncall.broker import BrokerError
from sagactl.oncall.check import QUIET_SECONDS, Expected, Known, check, show
from sagactl.oncall.invariants import Invariant
from sagactl.oncall.look import STILL_SECONDS
from sagactl.oncall.redrive import redrive
from sagactl.oncall.screen import masked, printable
from sagactl.provision import accounts
from sagactl.smoke import purchase

Answer = TypeVar("Answer")

app = typer.Typer(
    no_args_is_help=True, help="Look after a shop: check it, redrive its dead letters, sweep it."
)
dlq = typer.Typer(no_args_is_help=True, help="Dead letters.")
app.add_typer(dlq, name="dlq")
app.add_typer(accounts.app, name="provision")
app.command("sweep")(sweep.sweep)
app.command("smoke")(purchase.smoke)
console = Console()
# Progress goes to standard error, so that it does not get into a pipe.
aside = Console(stderr=True)

Stack = Annotated[
    Path | None,
    typer.Option(help=f"A local stack's directory. Else {', '.join(URLS)}, as variables or files; else .run"),
]
Queue = Annotated[str, typer.Argument(help=f"One of {', '.join(broker.QUEUES)}.")]


def access(stack: Path | None) -> Access:
    """Of the stack that is named, by the environment or the files of SECRETS_DIR, or of the stack here."""
    try:
        return Access.found(stack)
    except NoAccessError as error:
        raise typer.BadParameter(str(error)) from error


@app.command("check")
def check_command(  # noqa: PLR0917 - a command's options
    stack: Stack = None,
    accepted: Annotated[
        Path | None, typer.Option(help="File of order ids, a line each, that were answered 201.")
    ] = None,
    expect: Annotated[
        list[str] | None,
        typer.Option(
            help="A known finding: ORDER (its contradictions and dead letters) or INVARIANT:ORDER, such as "
            "MONEY_AGREES:ORDER. May be given several times."
        ),
    ] = None,
    wait: Annotated[float, typer.Option(help="Seconds to wait for everything to come to rest.")] = 30,
    quiet: Annotated[
        float, typer.Option(help="Seconds that rest has to last: more than the broker's statistics interval.")
    ] = QUIET_SECONDS,
    still: Annotated[
        float,
        typer.Option(help="Under traffic, what has stood still for this many seconds is judged."),
    ] = STILL_SECONDS,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,  # noqa: FBT002  # an option
) -> None:
    """Hold every order against stock, payments and the gateway's ledger; exit 1 if anything is off."""
    promised = accepted.read_text().split() if accepted else []
    where = access(stack)
    with aside.status("checking") as status:

        def tell(unrest: Mapping[str, int]) -> None:
            left = ", ".join(f"{place}: {count}" for place, count in unrest.items())
            status.update(f"waiting for {left}" if left else "checking")

        expected = Expected(promised, [_expected(text) for text in expect or ()])
        waits = {"wait_seconds": wait, "quiet_seconds": quiet, "still_seconds": still}
        report = _run(check(where, expected, **waits, progress=tell))
    if as_json:
        typer.echo(json.dumps(report.to_json(), indent=2))
    else:
        show(console, report)
    raise typer.Exit(0 if report.sound else 1)


@dlq.command("list")
def list_dead_letters(
    stack: Stack = None,
    queue: Annotated[str | None, typer.Option(help="Only this queue's.")] = None,
    limit: Annotated[int, typer.Option(help="At most this many per queue.")] = 100,
) -> None:
    """Every dead letter with its reason."""
    where = access(stack)
    queues = [_known(queue)] if queue else list(broker.QUEUES)
    letters = _run(broker.dead_letters(where.amqp_url, queues, limit))
    table = Table(title=f"{len(letters)} dead letters")
    for heading in ("queue", "message", "about", "type", "kind", "reason", "attempts", "first failed"):
        table.add_column(heading, overflow="fold")
    for each in letters:
        row = (each.queue, each.id, each.subject, each.type, each.kind, each.reason)
        table.add_row(*map(printable, row), str(each.attempts), printable(each.first_failed_at))
    console.print(table)


@dlq.command("show")
def show_dead_letter(queue: Queue, message_id: str, stack: Stack = None) -> None:
    """One dead letter, with its body."""
    found = _run(broker.dead_letters(access(stack).amqp_url, [_known(queue)], 10_000))
    letter = next((each for each in found if each.id == message_id), None)
    if letter is None:
        raise typer.BadParameter(f"no dead letter {message_id} in {queue}.dlq")
    for name, value in {**letter._asdict(), "body": masked(letter.body)}.items():
        console.print(f"[bold]{name}[/]: {printable(str(value))}", highlight=False)


@app.command("redrive")
def redrive_command(
    queue: Queue,
    stack: Stack = None,
    message: Annotated[
        list[str] | None, typer.Option("--id", help="Only this message. May be given several times.")
    ] = None,
) -> None:
    """Give dead letters another chance. What was handled already is known, and not done twice."""
    sent = _run(redrive(access(stack).amqp_url, _known(queue), frozenset(message or ())))
    console.print(f"{len(sent)} redriven to {queue}")


def _expected(text: str) -> Known:
    try:
        return Known.parse(text)
    except ValueError as error:
        names = ", ".join(invariant.name for invariant in Invariant)
        raise typer.BadParameter(f"{text}: before the colon stands one of {names}") from error


def _known(queue: str) -> str:
    if queue not in broker.QUEUES:
        raise typer.BadParameter(f"{queue}: there are {', '.join(broker.QUEUES)}")
    return queue


def _run(work: Coroutine[Any, Any, Answer]) -> Answer:
    try:
        return asyncio.run(work)
    except (BrokerError, AMQPError, PyMongoError, OSError) as error:
        aside.print(f"[red]{printable(str(error) or type(error).__name__)}[/]")
        raise typer.Exit(2) from error
