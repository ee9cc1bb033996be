"""`python -m dev up | restart | traces | down | run | logs | status`: the local stack on the command line.

What starts a stack takes a while to load, so the commands that need it do so: `up` may have nothing to do.
"""

import json
import os
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from dev import already
from dev.errors import StackError
from dev.given import check_own
from dev.interrupts import run as run_to_the_end
from dev.logs import Wanted, follow, show
from dev.processes import Processes
from dev.services import wanted

DIRECTORY = Path(os.environ.get("STACK_DIR", ".run"))
ServersOnly = Annotated[bool, typer.Option("--servers-only", help="Start only MongoDB, RabbitMQ and Redis.")]
app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)
console = Console()


@app.command()
def up(*, servers_only: ServersOnly = False) -> None:
    """Start everything in the background. Processes that run already are left as they are."""
    _up(() if servers_only else wanted(os.environ))


@app.command()
def traces(
    program: Annotated[Path, typer.Argument(envvar="JAEGER", help="Program of Jaeger, version 2.")],
) -> None:
    """Start the stack with Jaeger, and restart the services so that their traces go there."""
    _up(wanted(os.environ), jaeger=program.resolve())


@app.command()
def restart(
    name: Annotated[str, typer.Argument(help="A service, one replica such as order-2, or a server.")] = "",
) -> None:
    """Restart one service, with its former settings and those given now."""
    from dev import local  # noqa: PLC0415

    _run(local.restart(DIRECTORY, name, console))


@app.command()
def run(*, servers_only: ServersOnly = False) -> None:
    """Start everything, show the logs, and stop everything at Ctrl-C."""
    from dev.stack import Stack  # noqa: PLC0415

    async def work() -> None:
        random_ports = os.environ.get("PORTS") == "random"
        services = () if servers_only else wanted(os.environ)
        async with Stack(DIRECTORY, services=services, random_ports=random_ports) as stack:
            already.tell(stack.directory, "up", console)
            await follow(stack.directory / "logs", console, Wanted())

    _run(work())


@app.command()
def down() -> None:
    """Stop everything that runs; the data stays."""
    from dev import local  # noqa: PLC0415

    _run(local.down(DIRECTORY, console))


@app.command()
def logs(
    names: Annotated[list[str] | None, typer.Argument(help="Only logs of these services or servers.")] = None,
    order: Annotated[str | None, typer.Option(help="Only lines about the order with this id.")] = None,
    *,
    following: Annotated[bool, typer.Option("--follow/--no-follow", help="Keep showing new lines.")] = True,
) -> None:
    """Show the logs of all services, or of some processes, ordered by time."""
    directory, wanted = DIRECTORY / "logs", Wanted(tuple(names or ()), order)
    with _told():
        wanted.check(directory)
    if following:
        _run(follow(directory, console, wanted))
    if not show(directory, console, wanted):
        console.print(f"there are no such lines in {directory}", soft_wrap=True)
        raise typer.Exit(1)


@app.command()
def status() -> None:
    """Show which processes run. Exit code 1: a started process has ended."""
    file = DIRECTORY / "stack.json"
    if not file.exists():
        console.print(f"nothing was started in {DIRECTORY}")
        raise typer.Exit(1)
    processes, replicas = Processes(DIRECTORY), json.loads(file.read_text())["replicas"]
    table = Table("process", "pid", "state", "address")
    for name, started in processes.started.items():
        state = "[green]runs[/]" if started.is_alive else "[red]ended[/]"
        table.add_row(name, str(started.pid), state, replicas.get(name, ""))
    console.print(table)
    raise typer.Exit(int(bool(processes.ended)))


def _up(services: Sequence[str], *, jaeger: Path | None = None) -> None:
    with _told():
        check_own(os.environ)
        if already.lacks_what_is_given(DIRECTORY):
            from dev import local  # noqa: PLC0415

            local.check(DIRECTORY)
    if already.is_up(DIRECTORY, services, with_jaeger=jaeger is not None):
        already.tell(DIRECTORY, "already up", console)
        return
    from dev import local  # noqa: PLC0415

    _run(local.up(DIRECTORY, services, console, jaeger=jaeger))


def _run(work: Coroutine[Any, Any, None]) -> None:
    with _told():
        code = run_to_the_end(work)
    raise typer.Exit(code)


@contextmanager
def _told() -> Iterator[None]:
    """What is wrong with a stack is a sentence or some, and the end."""
    try:
        yield
    except StackError as error:
        console.print(f"[red]{escape(str(error))}[/]", soft_wrap=True, highlight=False)
        raise typer.Exit(1) from None


app()
