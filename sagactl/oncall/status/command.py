"""`sagactl status`: one screen for whoever is woken up. Only reads."""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Annotated, Final, NoReturn

import typer
from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from sagactl.access import Access
from sagactl.faults import OF_SERVERS
from sagactl.oncall.books import reading
from sagactl.oncall.status.reading import read
from sagactl.oncall.status.standing import (
    PROMISED,
    Backlog,
    Depth,
    Part,
    Settling,
    Status,
    gaps,
    said,
    waited,
)
from sagactl.output import Form, Output, Shown, show
from sagactl.screen import printable
from sagactl.terminal import Stack, access, aside, console, run
from sagactl.wording import plural

EVERY_SECONDS: Final = 2.0


def status(
    stack: Stack = None,
    watch: Annotated[  # noqa: FBT002  # an option
        bool, typer.Option("--watch", "-w", help="Refresh until interrupted.")
    ] = False,
    output: Form = Output.TABLE,
) -> None:
    """Show the state of the shop: what is wrong, queues, outboxes, open orders. Only reads.

    If a server does not answer, the command names what is missing, and shows the rest.

    Exit code 0: nothing is wrong. 1: something is wrong. 4, 5: nothing that could be seen is wrong, but not
    everything could be seen.
    """
    where = access(stack)
    if watch:
        run(_again_and_again(where, output))
    found = run(_once(where))
    _show(found, output)
    if found.unseen:
        aside.print(OF_SERVERS, highlight=False, soft_wrap=True)
    raise typer.Exit(found.code)


async def _once(where: Access) -> Status:
    async with reading(where.mongodb_url) as books:
        return await read(books, where)


async def _again_and_again(where: Access, output: Output) -> NoReturn:
    """On one screen, which is drawn anew, if there is one; else one after the other."""
    drawn = console.is_terminal and output in {Output.TABLE, Output.WIDE}
    with Live(console=console, auto_refresh=False) as live:
        async with reading(where.mongodb_url) as books:
            while True:
                found = await read(books, where)
                if drawn:
                    parts = (
                        Text.from_markup(each) if isinstance(each, str) else each for each in screen(found)
                    )
                    live.update(Group(Text(f"{found.at:%H:%M:%S}"), *parts), refresh=True)
                else:
                    _show(found, output)
                await asyncio.sleep(EVERY_SECONDS)


def _show(found: Status, output: Output) -> None:
    show(Shown(found, lambda _: screen(found), [each.queue for each in found.queues or ()]), output)


def screen(found: Status) -> Iterator[RenderableType]:
    for problem in found.problems:
        yield f"[red]![/] {printable(problem)}"
    for gap in gaps(found.unseen):
        yield f"[yellow]?[/] {printable(gap)}"
    if not found.problems:
        yield (
            "[yellow]Nothing that can be seen is wrong.[/]" if found.unseen else "[green]Nothing is wrong.[/]"
        )
    if found.queues is not None:
        yield _queues(found.queues)
    for part, backlogs in ((Part.ORDERS, found.orders), (Part.OUTBOXES, found.outboxes)):
        yield f"{part:<14}{printable(_listed(found, part, backlogs))}"
    if found.placed is not None:
        yield f"{'placed':<14}{found.placed:.1f} orders per second"
    if found.settling is not None:
        yield f"{'settled':<14}{_settled(found.settling)}"


def _settled(settling: Settling) -> str:
    within = "not yet" if settling.within is None else f"within {settling.within:g} s"
    late = f"{settling.late} later than {PROMISED.total_seconds():g} s"
    return f"95 of 100 {within}, {late}, of the latest {plural(settling.orders, 'order')}"


def _listed(found: Status, part: Part, backlogs: Sequence[Backlog]) -> str:
    shown = [f"{each.of} {each.number} ({said(found.at - each.since)})" for each in backlogs]
    shown += [f"{each.service or ''} unseen".strip() for each in found.unseen if each.part is part]
    return ", ".join(shown) or "none"


def _queues(queues: Sequence[Depth]) -> Table:
    table = Table("queue", "service", box=None, pad_edge=False, header_style="dim")
    for heading in ("messages", "wait for", "consumers", "retrying", "dead"):
        table.add_column(heading, justify="right")
    for each in queues:
        numbers = (each.consumers, each.retrying, each.dead)
        table.add_row(each.queue, each.service, str(each.messages), waited(each), *map(str, numbers))
    return table
