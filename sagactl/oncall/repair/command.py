"""`sagactl repair`: prints what makes the books sound, and carries it out."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Annotated, Final

import typer

from sagactl.access import Access, NoAccessError, OrderAccess
from sagactl.documents import Document
from sagactl.exits import Exit
from sagactl.oncall import completion
from sagactl.oncall.live.judging import OVERDUE, STILL
from sagactl.oncall.repair.applying import Mender, carry_out, found_wrong, mended
from sagactl.oncall.repair.looking import plans
from sagactl.oncall.repair.plan import Compensate, Ends, Plan
from sagactl.output import Form, Output, Shown, show
from sagactl.screen import printable
from sagactl.terminal import Stack, access, agree, aside, reason_of, run
from sagactl.wording import plural

STYLES: Final = {Ends.SOUND: "green", Ends.MOVING: "yellow", Ends.MENDED: "bold", Ends.BY_HAND: "bold red"}
WORDS: Final = {
    Ends.SOUND: "sound",
    Ends.MOVING: "moving",
    Ends.MENDED: "can be mended",
    Ends.BY_HAND: "by hand",
}

LOOKED_AT: Final = (
    f"no order is inconsistent that has been unchanged for {STILL.total_seconds():g} s, except open ones of"
    f" the last {OVERDUE.total_seconds() / 60:g} minutes, which may still end well. sagactl repair ORDER"
    " checks any order."
)


class Repair(Document, frozen=True, kw_only=True):
    """What `-o json` prints."""

    plans: tuple[Plan, ...]
    # What the live check found about products, outboxes and the like, which no plan is made for.
    others: tuple[str, ...] = ()
    applied: bool = False


def repair(  # noqa: PLR0917 - a command's options
    orders: Annotated[
        list[str] | None,
        typer.Argument(
            help="Ids of orders. Without any: the orders that a live check finds.",
            metavar="ORDER",
            autocompletion=completion.orders,
        ),
    ] = None,
    stack: Stack = None,
    apply: Annotated[  # noqa: FBT002  # an option
        bool, typer.Option("--apply/--plan", help="Carry the steps out, or only show them.")
    ] = False,
    reason: Annotated[
        str | None, typer.Option(help="Reason for the audit trail. Required with --apply.", metavar="TEXT")
    ] = None,
    still: Annotated[
        float, typer.Option(help="Seconds for which an order must be unchanged.")
    ] = STILL.total_seconds(),
    yes: Annotated[  # noqa: FBT002  # an option
        bool, typer.Option("--yes", help="Do not ask for confirmation. Required without a terminal.")
    ] = False,
    output: Form = Output.TABLE,
) -> None:
    """Print the fewest messages and commands that make inconsistent orders consistent; --apply carries them
    out.

    Exit code 0: nothing has to be done, or everything was done. 1: something is left that no message and no
    command can repair. 3: something has to be done, or an order is changing.
    """
    where = access(stack)
    why = reason_of(reason) if apply else ""
    with aside.status("looking"):
        ids, others = (orders, ()) if orders else run(found_wrong(where))
        found = run(plans(where, sorted(set(ids)), timedelta(seconds=still)))
    to_do = [each for each in found if each.steps]
    if apply and to_do:
        # Whoever is asked reads it before, a program what came of it alone.
        if output in {Output.TABLE, Output.WIDE}:
            show(_shown(found, others), output)
        number = sum(len(each.steps) for each in to_do)
        agree(f"Carry out {plural(number, 'step')} for {plural(len(to_do), 'order')}?", yes=yes)
        found = _applied(found, where, stack, why)
        aside.print("[bold]afterwards[/]")
    show(_shown(found, others, applied=apply and bool(to_do)), output)
    raise typer.Exit(exit_code(found, others))


def _applied(found: Sequence[Plan], where: Access, stack: Stack, reason: str) -> list[Plan]:
    """What is to be done afterwards."""
    to_do = [each for each in found if each.steps]
    orders = _order_access(stack, to_do)
    mender = Mender(where, orders, reason)
    able = [each for each in to_do if orders or not _compensates(each)]
    for each in able:
        run(carry_out(each, mender))
    with aside.status("waiting for the effect"):
        after = run(mended(where, [each.order for each in able]))
    now = {each.order: each for each in after}
    return [now.get(each.order, each) for each in found]


def _compensates(found: Plan) -> bool:
    return any(isinstance(step, Compensate) for step in found.steps)


def _order_access(stack: Stack, to_do: Sequence[Plan]) -> OrderAccess | None:
    """None where nobody said how to get in, as in a cluster's toolbox.

    What has to be compensated is left alone then, and is not in the way of the messages. Where there is
    nothing else, that is an error.
    """
    number = sum(map(_compensates, to_do))
    if not number:
        return None
    try:
        return OrderAccess.found(stack)
    except NoAccessError as error:
        if number == len(to_do):
            raise typer.BadParameter(str(error)) from error
        aside.print(f"[yellow]left alone[/]  {plural(number, 'order')} to compensate: {error}")
        return None


def exit_code(found: Sequence[Plan], others: Sequence[str]) -> Exit:
    ends = {each.ends for each in found}
    if Ends.BY_HAND in ends or others:
        return Exit.BAD
    return Exit.NOT_YET if ends - {Ends.SOUND} else Exit.FINE


def _shown(found: Sequence[Plan], others: Sequence[str], *, applied: bool = False) -> Shown:
    answer = Repair(plans=tuple(found), others=tuple(others), applied=applied)
    return Shown(answer, lambda _: _screen(found, others), [each.order for each in found], found)


def _screen(found: Sequence[Plan], others: Sequence[str]) -> Iterator[str]:
    for each in found:
        yield f"[bold]order[/]     {printable(each.order)}: [{STYLES[each.ends]}]{WORDS[each.ends]}[/]"
        yield from map(printable, _lines(each))
    for other in others:
        yield f"[bold red]by hand[/]   {printable(other)}"
    if not found and not others:
        yield f"[green]There is nothing to do[/]: {LOOKED_AT}"


def _lines(found: Plan) -> Iterator[str]:
    for what in found.findings:
        yield f"wrong     {what}"
    for step in found.steps:
        yield f"do        {step.says}"
    for what in found.left:
        yield f"left      {what}"
    if found.ends is not Ends.SOUND:
        yield f"{'leads to' if found.steps else 'but':<10}{found.says}"
