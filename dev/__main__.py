"""`python -m dev up | down | run | logs | status`: the local stack on the command line."""

import json
import os
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from dev.interrupts import run as run_to_the_end
from dev.logs import Wanted, follow, show
from dev.ports import PortTakenError
from dev.processes import ProcessEndedError, Processes
from dev.services import NAMES
from dev.stack import NotReadyError, Stack

DIRECTORY = Path(os.environ.get("STACK_DIR", ".run"))
ServersOnly = Annotated[bool, typer.Option("--servers-only", help="MongoDB, RabbitMQ and Redis alone.")]
app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)
console = Console()


@app.command()
def up(*, servers_only: ServersOnly = False) -> None:
    """Start everything in the background, or again if it runs."""

    async def work() -> None:
        stack = _stack(servers_only=servers_only)
        await stack.up()
        _show(stack)

    _run(work())


@app.command()
def run(*, servers_only: ServersOnly = False) -> None:
    """Start everything, show the logs, and stop everything at Ctrl-C."""

    async def work() -> None:
        async with _stack(servers_only=servers_only) as stack:
            _show(stack)
            await follow(stack.directory / "logs", console, Wanted())

    _run(work())


@app.command()
def down() -> None:
    """Stop everything that runs; the data stays."""
    _run(_stack().down())


@app.command()
def logs(
    names: Annotated[list[str] | None, typer.Argument(help="Only of these services or servers.")] = None,
    order: Annotated[str | None, typer.Option(help="Only what is about the order with this id.")] = None,
    *,
    following: Annotated[bool, typer.Option("--follow/--no-follow", help="Go on with what comes.")] = True,
) -> None:
    """Show the logs of all services, or of some processes, in the order in which things happened."""
    directory, wanted = DIRECTORY / "logs", Wanted(tuple(names or ()), order)
    if following:
        _run(follow(directory, console, wanted))
    if not show(directory, console, wanted):
        console.print(f"nothing of that kind is in {directory}", soft_wrap=True)
        raise typer.Exit(1)


@app.command()
def status() -> None:
    """Show what runs; exits with 1 when something has ended that was started."""
    file = DIRECTORY / "stack.json"
    if not file.exists():
        console.print(f"nothing was started in {DIRECTORY}")
        raise typer.Exit(1)
    processes, description = Processes(DIRECTORY), json.loads(file.read_text())
    table = Table("process", "pid", "state", "address")
    for name, pid in description["pids"].items():
        state = "[green]runs[/]" if name in processes else "[red]ended[/]"
        table.add_row(name, str(pid), state, description["replicas"].get(name, ""))
    console.print(table)
    raise typer.Exit(int(any(name not in processes for name in description["pids"])))


def _stack(*, servers_only: bool = False) -> Stack:
    services = () if servers_only else NAMES
    return Stack(DIRECTORY, services=services, random_ports=os.environ.get("PORTS") == "random")


def _show(stack: Stack) -> None:
    door = f"gateway {stack.gateway}" if "gateway" in stack.services else "servers only"
    console.print(
        f"[bold green]up[/]  {door}  (everything's address: {stack.directory / 'stack.json'})", soft_wrap=True
    )


def _run(work: Coroutine[Any, Any, None]) -> None:
    try:
        code = run_to_the_end(work)
    except (NotReadyError, PortTakenError, ProcessEndedError) as error:
        console.print(f"[red]{error}[/]", soft_wrap=True)
        code = 1
    raise typer.Exit(code)


app()
