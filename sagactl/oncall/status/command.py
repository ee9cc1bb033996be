"""`sagactl status`: one screen for whoever is woken up. Only reads."""

from collections.abc import Iterator

import typer
from rich.console import RenderableType
from rich.table import Table

from sagactl.exits import Exit
from sagactl.oncall.status.reading import read
from sagactl.oncall.status.standing import Status, said
from sagactl.output import Form, Output, Shown, show
from sagactl.screen import printable
from sagactl.terminal import Stack, access, run


def status(
    stack: Stack = None,
    output: Form = Output.TABLE,
) -> None:
    """Show how the shop stands: queues, outboxes, open orders, and what is wrong. Only reads.

    Exit code 0: nothing is wrong. 1: something is.
    """
    found = run(read(access(stack)))
    show(Shown(found, lambda _: _screen(found), [each.queue for each in found.queues]), output)
    raise typer.Exit(Exit.BAD if found.problems else Exit.FINE)


def _screen(found: Status) -> Iterator[RenderableType]:
    for problem in found.problems:
        yield f"[red]![/] {printable(problem)}"
    if not found.problems:
        yield "[green]Nothing is wrong.[/]"
    yield _queues(found)
    for name, backlogs in (("open orders", found.orders), ("outboxes", found.outboxes)):
        shown = ", ".join(f"{each.of} {each.number} ({said(found.at - each.since)})" for each in backlogs)
        yield f"{name:<14}{printable(shown or 'none')}"


def _queues(found: Status) -> Table:
    table = Table("queue", "service", box=None, pad_edge=False, header_style="dim")
    for heading in ("messages", "consumers", "retrying", "dead"):
        table.add_column(heading, justify="right")
    for each in found.queues:
        numbers = (each.messages, each.consumers, each.retrying, each.dead)
        table.add_row(each.queue, each.service, *map(str, numbers))
    return table
