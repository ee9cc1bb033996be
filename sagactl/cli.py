"""The operators' command line: the tree of its commands. It reads with users of its own."""

import json
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Final

import typer

from sagactl.oncall import accounts, audit, customers, find, keys, letters, order, sweep, trace
from sagactl.oncall.check import QUIET_SECONDS, Expected, Known, check
from sagactl.oncall.explain import command as explain
from sagactl.oncall.invariants import Invariant
from sagactl.oncall.look import STILL_SECONDS
from sagactl.oncall.report import Verdict, show
from sagactl.oncall.status import command as status
from sagactl.provision import accounts as provisioned
from sagactl.provision.passwords import secrets_command
from sagactl.smoke import purchase
from sagactl.terminal import AsJson, Stack, access, aside, console, run

# 2 is for what could not be looked at: no access, or a server that does not answer.
EXIT_CODES: Final = {Verdict.HOLDS: 0, Verdict.BROKEN: 1, Verdict.WAITING: 3}

app = typer.Typer(no_args_is_help=True)


def _version(wanted: bool) -> None:  # noqa: FBT001  # an option's callback
    if wanted:
        typer.echo(f"sagactl {version('sagashop')}")
        raise typer.Exit


@app.callback()
def main(
    *,
    _: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Look after a shop: check it, look into it, and get it going again."""


@app.command("check")
def check_command(  # noqa: PLR0917 - a command's options
    stack: Stack = None,
    accepted: Annotated[
        Path | None, typer.Option(help="File of order ids, a line each, that were answered 201.")
    ] = None,
    expect: Annotated[
        list[str] | None,
        typer.Option(
            help="A known finding: ORDER (its contradictions and dead letters) or INVARIANT:ORDER, such as "
            "MONEY_AGREES:ORDER. May be given several times."
        ),
    ] = None,
    wait: Annotated[float, typer.Option(help="Seconds to wait for everything to come to rest.")] = 30,
    quiet: Annotated[
        float, typer.Option(help="Seconds that rest has to last: more than the broker's statistics interval.")
    ] = QUIET_SECONDS,
    still: Annotated[
        float,
        typer.Option(help="Under traffic, what has stood still for this many seconds is judged."),
    ] = STILL_SECONDS,
    as_json: AsJson = False,  # noqa: FBT002  # an option
) -> None:
    """Hold every order against stock, payments and the gateway's ledger. Only reads.

    Exit code 0: every invariant holds. 1: one is broken. 2: it could not be looked at. 3: nothing is broken,
    and messages or captures wait, as they do while a service is down.
    """
    promised = accepted.read_text().split() if accepted else []
    where = access(stack)
    with aside.status("checking") as status:

        def tell(unrest: Mapping[str, int]) -> None:
            left = ", ".join(f"{place}: {count}" for place, count in unrest.items())
            status.update(f"waiting for {left}" if left else "checking")

        expected = Expected(promised, [_expected(text) for text in expect or ()])
        waits = {"wait_seconds": wait, "quiet_seconds": quiet, "still_seconds": still}
        report = run(check(where, expected, **waits, progress=tell))
    if as_json:
        typer.echo(json.dumps(report.to_json(), indent=2))
    else:
        show(console, report)
    raise typer.Exit(EXIT_CODES[report.verdict])


app.command("status")(status.status)
app.command("explain")(explain.explain)
app.command("find")(find.find)
app.command("order")(order.order)
app.command("audit")(audit.audit)
app.command("trace")(trace.trace)
app.add_typer(letters.app, name="dlq")
app.command("redrive")(letters.redrive_command)
app.command("sweep")(sweep.sweep)
app.command("smoke")(purchase.smoke)
app.add_typer(accounts.app, name="accounts")
app.add_typer(customers.app, name="customers")
app.add_typer(keys.app, name="keys")
app.add_typer(provisioned.app, name="provision")
app.command("secrets")(secrets_command)


def _expected(text: str) -> Known:
    try:
        return Known.parse(text)
    except ValueError as error:
        names = ", ".join(invariant.name for invariant in Invariant)
        raise typer.BadParameter(f"{text}: before the colon stands one of {names}") from error
