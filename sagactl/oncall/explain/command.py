"""`sagactl explain ORDER`: where its messages are, what comes next, and what to do."""

from collections.abc import Iterator
from typing import Annotated, Final

import typer

from sagactl.exits import Exit
from sagactl.oncall import arguments
from sagactl.oncall.explain.explanation import Explanation, Verdict
from sagactl.oncall.explain.reading import Reader
from sagactl.oncall.explain.screen import STYLES, lines
from sagactl.oncall.times import duration
from sagactl.output import Form, Output, Shown, show
from sagactl.screen import printable
from sagactl.terminal import Stack, access, aside, run

EXIT_CODES: Final = {
    Verdict.SETTLED: Exit.FINE,
    Verdict.MOVING: Exit.NOT_YET,
    Verdict.WAITING: Exit.NOT_YET,
    Verdict.STUCK: Exit.BAD,
    Verdict.CONTRADICTED: Exit.BAD,
    Verdict.UNKNOWN: Exit.BAD,
}


def explain(
    order_id: arguments.Order,
    stack: Stack = None,
    stale_after: Annotated[
        str, typer.Option(help="How long an order may be CONFIRMED before a sweep treats it as stale.")
    ] = "5m",
    output: Form = Output.TABLE,
) -> None:
    """Show where an order's messages are, what comes next, and what to do. Only reads.

    Exit code 0: it is settled, and everything has arrived. 1: it is stuck or contradicted, or no service
    knows it. 3: something is under way.
    """
    reader = Reader(access(stack), duration(stale_after))
    with aside.status("looking") as status:
        told = run(reader.told(order_id, progress=status.update))
    show(Shown(told, lambda _: screen(told), [told.order]), output)
    raise typer.Exit(EXIT_CODES[told.verdict])


def screen(told: Explanation) -> Iterator[str]:
    word = told.verdict.upper()
    for line in lines(told):
        text = printable(line)
        if line.startswith("verdict"):
            text = text.replace(word, f"[bold {STYLES[told.verdict]}]{word}[/]", 1)
        yield text
