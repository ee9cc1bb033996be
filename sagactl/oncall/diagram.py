"""`sagactl diagram`: the tables by which services decide, and the messages of one order, drawn as Mermaid."""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Annotated, Final

import typer

from sagactl.oncall import completion
from sagactl.oncall.explain.explanation import Explanation, Hop, HopState
from sagactl.oncall.explain.reading import Reader
from sagactl.oncall.explain.screen import WORDS
from sagactl.screen import printable
from sagactl.terminal import Stack, absent, access, aside, console, run
from services.fulfilment import diagram as fulfilment
from services.inventory import diagram as inventory
from services.order import diagram as order_
from services.payment import diagram as payment
from services.shared.contract.diagram import Drawing


class Of(StrEnum):
    ORDER = "order"
    PAYMENT = "payment"
    # A line of a reservation.
    INVENTORY = "inventory"
    FULFILMENT = "fulfilment"


DRAWINGS: Final[Mapping[Of, Drawing]] = {
    Of.ORDER: order_.DRAWING,
    Of.PAYMENT: payment.DRAWING,
    Of.INVENTORY: inventory.DRAWING,
    Of.FULFILMENT: fulfilment.DRAWING,
}
# A cross at its end: it does not arrive. A dotted line: it has not yet, or leaves no mark.
ARROWS: Final[Mapping[HopState, str]] = {
    HopState.DONE: "->>",
    HopState.DEAD_LETTER: "-x",
    HopState.DISCARDED: "-x",
    HopState.MISSING: "-x",
}
UNDER_WAY: Final = "-->>"


def diagram(
    of: Annotated[Of, typer.Option("--of", help="The service whose states are drawn.")] = Of.ORDER,
    order: Annotated[
        str | None,
        typer.Option(
            "--order",
            help="Draw the messages of the order with this id instead.",
            autocompletion=completion.orders,
        ),
    ] = None,
    stack: Stack = None,
) -> None:
    """Print a Mermaid diagram of a service's states, or of the messages of one order. Only reads.

    It can be pasted wherever Markdown is shown, such as into an incident's page.
    """
    if order is None:
        typer.echo(DRAWINGS[of].draw())
        return
    with aside.status("looking") as status:
        told = run(Reader(access(stack)).told(order, progress=status.update))
    if not told.hops:
        absent(f"there is no message of an order {order}: see sagactl find {order}")
    for line in drawn(told):
        console.print(printable(line), highlight=False, soft_wrap=True)


def drawn(told: Explanation) -> Iterator[str]:
    """Its messages, from service to service, in the order of their causes."""
    yield "sequenceDiagram"
    for each in told.hops:
        yield f"    {each.publisher}{ARROWS.get(each.state, UNDER_WAY)}{each.consumer}: {_label(each)}"


def _label(hop: Hop) -> str:
    return hop.type if hop.state is HopState.DONE else f"{hop.type} ({WORDS[hop.state]})"
