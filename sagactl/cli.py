"""The operators' command line. Everything it reads from, it reads with users of its own."""

import asyncio
import json
import os
import re
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

import typer
from rich.console import Console
from rich.table import Table

from sagactl import broker, provision, smoke, sweep
from sagactl.broker import BrokerError, DeadLetter
from sagactl.check import Access, Expected, check, show
from sagactl.redrive import redrive

SECRETS_DIR: Final = "SECRETS_DIR"
URLS: Final = ("MONGODB_URL", "AMQP_URL", "MANAGEMENT_URL")
# What a body may hold and a screen should not.
SECRET: Final = re.compile(rb'("paymentToken"\s*:\s*)"[^"]*"')

Answer = TypeVar("Answer")

app = typer.Typer(
    no_args_is_help=True, help="Look after a shop: check it, redrive its dead letters, sweep it."
)
dlq = typer.Typer(no_args_is_help=True, help="Dead letters.")
app.add_typer(dlq, name="dlq")
app.add_typer(provision.app, name="provision")
app.command("sweep")(sweep.sweep)
app.command("smoke")(smoke.smoke)
console = Console()

Stack = Annotated[
    Path, typer.Option("--stack", help="Directory of a local stack, used unless the URLs are given.")
]
Queue = Annotated[str, typer.Argument(help=f"One of {', '.join(broker.QUEUES)}.")]


def access(stack: Path) -> Access:
    """By the environment, the files of SECRETS_DIR, or a local stack. Raises BadParameter."""
    found = {name: os.environ.get(name) or _secret(name) for name in URLS}
    if all(found.values()):
        return Access(*(str(found[name]) for name in URLS))
    if (stack / "stack.json").exists():
        return Access.of_stack(stack)
    missing = ", ".join(name for name, value in found.items() if not value)
    raise typer.BadParameter(f"set {missing}, or name the --stack directory of a stack that runs (make up)")


def _secret(name: str) -> str | None:
    directory = os.environ.get(SECRETS_DIR)
    path = Path(directory, name) if directory else None
    return path.read_text().strip() if path is not None and path.exists() else None


@app.command("check")
def check_command(  # one for each option
    stack: Stack = Path(".run"),
    accepted: Annotated[
        Path | None, typer.Option(help="File of order ids, a line each, that were answered 201.")
    ] = None,
    expect: Annotated[
        list[str] | None,
        typer.Option(help="Order or message whose findings are known. May be given several times."),
    ] = None,
    wait: Annotated[float, typer.Option(help="Seconds to wait for everything to come to rest.")] = 30,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,  # noqa: FBT002  # an option
) -> None:
    """Hold every order against stock, payments and the gateway's ledger; exit 1 if anything is off."""
    promised = accepted.read_text().split() if accepted else []
    where = access(stack)
    with console.status("waiting for queues and outboxes, then checking"):
        report = _run(check(where, Expected(promised, expect or ()), wait_seconds=wait))
    if as_json:
        typer.echo(json.dumps(report.to_json(), indent=2))
    else:
        show(console, report)
    raise typer.Exit(0 if report.sound else 1)


@dlq.command("list")
def list_dead_letters(
    stack: Stack = Path(".run"),
    queue: Annotated[str | None, typer.Option(help="Only this queue's.")] = None,
    limit: Annotated[int, typer.Option(help="As many of each queue at the most.")] = 100,
) -> None:
    """Every dead letter with its reason."""
    where = access(stack)
    letters: list[DeadLetter] = []
    for name in [_known(queue)] if queue else broker.QUEUES:
        letters += _run(broker.dead_letters(where.amqp_url, name, limit))
    table = Table(title=f"{len(letters)} dead letters")
    for heading in ("queue", "message", "about", "type", "kind", "reason", "attempts", "first failed"):
        table.add_column(heading, overflow="fold")
    for each in letters:
        table.add_row(
            each.queue,
            each.id,
            each.subject,
            each.type,
            each.kind,
            each.reason,
            str(each.attempts),
            each.first_failed_at,
        )
    console.print(table)


@dlq.command("show")
def show_dead_letter(queue: Queue, message_id: str, stack: Stack = Path(".run")) -> None:
    """One dead letter, with its body."""
    found = _run(broker.dead_letters(access(stack).amqp_url, _known(queue), 10_000))
    letter = next((each for each in found if each.id == message_id), None)
    if letter is None:
        raise typer.BadParameter(f"no dead letter {message_id} in {queue}.dlq")
    for name, value in letter._asdict().items():
        text = SECRET.sub(rb'\1"***"', letter.body).decode(errors="replace") if name == "body" else value
        console.print(f"[bold]{name}[/]: {text}", highlight=False)


@app.command("redrive")
def redrive_command(
    queue: Queue,
    stack: Stack = Path(".run"),
    message: Annotated[
        list[str] | None, typer.Option("--id", help="Only this message. May be given several times.")
    ] = None,
    force: Annotated[  # noqa: FBT002  # an option
        bool, typer.Option("--force", help="Also those older than the inbox remembers (14 days).")
    ] = False,
) -> None:
    """Give dead letters another chance. What was handled already is known, and not done twice."""
    result = _run(redrive(access(stack).amqp_url, _known(queue), frozenset(message or ()), force=force))
    console.print(f"{len(result.sent)} redriven to {queue}")
    if result.too_old:
        console.print(f"{len(result.too_old)} are older than the inbox remembers: --force if you mean it")
        raise typer.Exit(1)


def _known(queue: str) -> str:
    if queue not in broker.QUEUES:
        raise typer.BadParameter(f"{queue}: there are {', '.join(broker.QUEUES)}")
    return queue


def _run(work: Coroutine[Any, Any, Answer]) -> Answer:
    try:
        return asyncio.run(work)
    except (BrokerError, OSError) as error:
        console.print(f"[red]{error}[/]")
        raise typer.Exit(2) from error
