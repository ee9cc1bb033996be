"""`sagactl check`, at rest or while the shop works: options in, a report out."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Final

import typer

from sagactl import output as output_
from sagactl.access import Access
from sagactl.exits import Exit
from sagactl.oncall import completion
from sagactl.oncall.accepted import promises
from sagactl.oncall.check import QUIET_SECONDS, Expected, Known, check
from sagactl.oncall.invariants import Invariant
from sagactl.oncall.live.checking import OF_ORDERS, Live, check_live, check_these
from sagactl.oncall.live.judging import STILL
from sagactl.oncall.look import STILL_SECONDS
from sagactl.oncall.report import Report, Verdict
from sagactl.oncall.report_on_screen import screen
from sagactl.oncall.times import duration, moment
from sagactl.output import Form, Output, Shown
from sagactl.screen import printable
from sagactl.terminal import Stack, access, aside, run

EXIT_CODES: Final = {Verdict.HOLDS: Exit.FINE, Verdict.BROKEN: Exit.BAD, Verdict.WAITING: Exit.NOT_YET}


def _names() -> list[str]:
    return [text for each in Invariant for text in dict.fromkeys((str(each), each.name))]


def check_command(  # noqa: PLR0913, PLR0917 - a command's options
    stack: Stack = None,
    accepted: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|URL",
            help="Where the ids of all accepted orders are, one per line, as `sagactl load` serves them.",
        ),
    ] = None,
    expect: Annotated[
        list[str] | None,
        typer.Option(
            help="An expected finding: ORDER (its contradictions and dead letters) or INVARIANT:ORDER,"
            " such as MONEY_AGREES:ORDER. May be given several times."
        ),
    ] = None,
    still: Annotated[
        float | None,
        typer.Option(
            help="What has stood still for this many seconds is judged: under traffic "
            f"{STILL_SECONDS:g}, with --live {STILL.total_seconds():g}."
        ),
    ] = None,
    wait: Annotated[float, typer.Option(help="Seconds to wait until nothing is under way.")] = 30,
    quiet: Annotated[
        float,
        typer.Option(
            help="Seconds for which nothing may be under way: more than the broker's statistics interval."
        ),
    ] = QUIET_SECONDS,
    order: Annotated[
        list[str] | None,
        typer.Option(
            "--order",
            help="Only this order, as it is now, without waiting. May be given several times.",
            autocompletion=completion.orders,
        ),
    ] = None,
    invariant: Annotated[
        list[str] | None,
        typer.Option(
            "--invariant",
            help="Only this invariant: I3, or MONEY_AGREES. May be given several times.",
            autocompletion=_names,
        ),
    ] = None,
    live: Annotated[  # noqa: FBT002  # an option
        bool, typer.Option("--live", help="Check a running shop: do not wait until nothing is under way.")
    ] = False,
    overdue: Annotated[
        str, typer.Option(help="With --live: also report what is under way for this long.")
    ] = "20m",
    since: Annotated[
        str | None,
        typer.Option(
            help="With --live: only orders placed since then: 24h ago, or a date. All products are checked."
        ),
    ] = None,
    note: Annotated[
        Path | None,
        typer.Option(
            help="With --live: file in which the progress is stored. The next run continues from there."
        ),
    ] = None,
    last_words: Annotated[
        Path | None,
        typer.Option(help="File for a short result, such as a pod's termination message."),
    ] = None,
    output: Form = Output.TABLE,
) -> None:
    """Compare every order with stock, payments and the payment gateway's records. Only reads.

    Exit code 0: every invariant holds. 1: one is broken. 3: nothing is broken, but messages, captures or
    refunds wait, as they do while a service is down, or while the payment gateway refuses a refund; or an
    order of --order has not ended yet.
    """
    promised = run(promises(accepted)) if accepted else []
    expected = Expected(promised, [_expected(text) for text in expect or ()])
    only = frozenset(map(_invariant, invariant or ()))
    if order and (accepted or since or note):
        raise typer.BadParameter(
            "--order checks single orders: it cannot be combined with --accepted, --since or --note"
        )
    if order and not only <= OF_ORDERS:
        told = ", ".join(each for each in Invariant if each in OF_ORDERS)
        raise typer.BadParameter(f"of one order can be told: {told}")
    where = access(stack)
    if order:
        still_for = STILL if still is None else timedelta(seconds=still)
        report = _these(where, list(dict.fromkeys(order)), expected, Live(still_for, duration(overdue)))
    elif live:
        still_for = STILL if still is None else timedelta(seconds=still)
        report = _live(where, expected, Live(still_for, duration(overdue), moment(since), note))
    else:
        seconds = STILL_SECONDS if still is None else still
        waits = {"wait_seconds": wait, "quiet_seconds": quiet, "still_seconds": seconds}
        report = _at_rest(where, expected, waits)
    report = report.only(only)
    if last_words is not None:
        leave(last_words, report)
    items = report.document.findings
    names = list(dict.fromkeys(each.subject for each in items))
    output_.show(Shown(report.document, lambda _: screen(report), names, items), output)
    raise typer.Exit(EXIT_CODES[report.verdict])


def _at_rest(where: Access, expected: Expected, waits: Mapping[str, float]) -> Report:
    with aside.status("checking") as status:

        def tell(unrest: Mapping[str, int]) -> None:
            left = ", ".join(f"{place}: {count}" for place, count in unrest.items())
            status.update(f"waiting for {left}" if left else "checking")

        return run(check(where, expected, **waits, progress=tell))


def _live(where: Access, expected: Expected, live: Live) -> Report:
    with aside.status("checking") as status:

        def tell(so_far: Mapping[str, int]) -> None:
            status.update(", ".join(f"{what}: {count}" for what, count in so_far.items()))

        return run(check_live(where, expected, live, progress=tell))


def _these(where: Access, ids: Sequence[str], expected: Expected, live: Live) -> Report:
    with aside.status("checking") as status:

        def tell(so_far: Mapping[str, int]) -> None:
            status.update(", ".join(f"{what}: {count}" for what, count in so_far.items()))

        return run(check_these(where, ids, live, expected.known, progress=tell))


def leave(file: Path, report: Report) -> None:
    """Where that cannot be, what was found is printed all the same."""
    try:
        file.write_text(report.last_words.written())
    except OSError as error:
        aside.print(
            f"the short result was not written: {printable(str(error))}", highlight=False, soft_wrap=True
        )


def _invariant(text: str) -> Invariant:
    try:
        return Invariant.named(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text}: give one of {', '.join(_names())}") from error


def _expected(text: str) -> Known:
    try:
        return Known.parse(text)
    except ValueError as error:
        names = ", ".join(invariant.name for invariant in Invariant)
        raise typer.BadParameter(f"{text}: before the colon stands one of {names}") from error
