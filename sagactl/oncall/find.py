"""`sagactl find TEXT`: what it is, and which orders it belongs to. Only reads."""

from collections.abc import Iterator
from typing import Annotated

import typer

from sagactl.documents import Document
from sagactl.exits import Exit
from sagactl.oncall.finding import Hit, hits_of
from sagactl.output import Form, Output, Shown, show
from sagactl.screen import printable
from sagactl.terminal import Stack, access, aside, run
from sagactl.wording import plural


class HitList(Document, frozen=True, kw_only=True):
    items: tuple[Hit, ...]


def find(
    text: Annotated[
        str,
        typer.Argument(
            help="An order, a message, a transaction, a trace, a customer, an e-mail address or a product.",
            metavar="TEXT",
        ),
    ],
    stack: Stack = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most this many orders, the newest.")] = 20,
    output: Form = Output.TABLE,
) -> None:
    """Find the orders, letters and products that an id belongs to. The id must be complete.

    Exit code 0: something was found. 1: no service knows the id.
    """
    with aside.status("looking"):
        hits = run(hits_of(access(stack), text.strip(), limit))
    names = [hit.id for hit in hits]
    show(Shown(HitList(items=tuple(hits)), lambda _: _lines(hits), names, hits), output)
    raise typer.Exit(Exit.FINE if hits else Exit.BAD)


def _lines(hits: list[Hit]) -> Iterator[str]:
    for hit in hits:
        at = f", of {hit.at:%Y-%m-%d %H:%M:%S}" if hit.at else ""
        yield f"[bold]{printable(hit.what)}[/]{at}: {printable(hit.why)}"
        yield f"  {printable(hit.command)}"
    if not hits:
        yield "Nobody knows it. Ids are looked for whole."
    elif len(hits) > 1:
        yield plural(len(hits), "hit")
