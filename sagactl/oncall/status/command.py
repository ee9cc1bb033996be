"""`sagactl status`: one screen for whoever is woken up. Only reads."""

import msgspec
import typer
from rich.table import Table

from sagactl.exits import Exit
from sagactl.oncall.status.reading import read
from sagactl.oncall.status.standing import Status, said
from sagactl.screen import printable
from sagactl.terminal import AsJson, Stack, access, console, run


def status(
    stack: Stack = None,
    as_json: AsJson = False,  # noqa: FBT002  # an option
) -> None:
    """Show how the shop stands: queues, outboxes, open orders, and what is wrong. Only reads.

    Exit code 0: nothing is wrong. 1: something is.
    """
    found = run(read(access(stack)))
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())
    else:
        _show(found)
    raise typer.Exit(Exit.BAD if found.problems else Exit.FINE)


def _show(found: Status) -> None:
    for problem in found.problems:
        console.print(f"[red]![/] {printable(problem)}", highlight=False, soft_wrap=True)
    if not found.problems:
        console.print("[green]Nothing is wrong.[/]")
    console.print(_queues(found))
    for name, backlogs in (("open orders", found.orders), ("outboxes", found.outboxes)):
        shown = ", ".join(f"{each.of} {each.number} ({said(found.at - each.since)})" for each in backlogs)
        console.print(f"{name:<14}{printable(shown or 'none')}", highlight=False)


def _queues(found: Status) -> Table:
    table = Table("queue", "service", box=None, pad_edge=False, header_style="dim")
    for heading in ("messages", "consumers", "retrying", "dead"):
        table.add_column(heading, justify="right")
    for each in found.queues:
        numbers = (each.messages, each.consumers, each.retrying, each.dead)
        table.add_row(each.queue, each.service, *map(str, numbers))
    return table
