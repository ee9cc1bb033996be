"""`sagactl audit`: who did what, from where, and what came of it, over all services."""

import json
from datetime import UTC, datetime
from typing import Annotated, Final

import typer
from rich.table import Table

from saga_operator.policy.durations import parse_duration
from sagactl.oncall import trails
from sagactl.oncall.trails import Told, Wanted
from sagactl.screen import plural, printable
from sagactl.terminal import AsJson, Stack, access, console, run
from services.shared.contract.audit import Action

HEADINGS: Final = ("time", "what", "of", "by", "from", "why")


def since(text: str) -> datetime:
    """`2h` is two hours ago; a date, or date and time (of UTC unless it says otherwise), is itself.

    Raises ValueError.
    """
    try:
        return datetime.now(UTC) - parse_duration(text)
    except ValueError:
        given = datetime.fromisoformat(text)
        return given if given.tzinfo else given.replace(tzinfo=UTC)


def moment(text: str | None) -> datetime | None:
    """An option's. Raises BadParameter for what is neither a duration nor a date."""
    try:
        return None if text is None else since(text)
    except ValueError:
        raise typer.BadParameter(
            f"{text}: give a duration such as 2h, or a date such as 2026-11-26"
        ) from None


def audit(  # noqa: PLR0917 - a command's options
    stack: Stack = None,
    since: Annotated[
        str | None, typer.Option(help="Not before: 2h ago, or a date, such as 2026-11-26T08:00.")
    ] = None,
    actor: Annotated[str | None, typer.Option(help="Only what this id did.")] = None,
    subject: Annotated[
        str | None, typer.Option(help="Only what was done to this id: an order, a product, an account.")
    ] = None,
    action: Annotated[Action | None, typer.Option(help="Only this.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most this many, the latest.")] = 1000,
    as_json: AsJson = False,  # noqa: FBT002  # an option
) -> None:
    """Show the audit trails of all services, in the order of time."""
    wanted = Wanted(moment(since), actor, subject, action)
    told = run(trails.told(access(stack).mongodb_url, wanted, limit))
    if as_json:
        typer.echo(json.dumps([each.to_json() for each in told], indent=2, default=_text))
    else:
        console.print(table_of(told))


def _text(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def table_of(told: list[Told]) -> Table:
    table = Table(title=plural(len(told), "entry"))
    for heading in HEADINGS:
        table.add_column(heading, overflow="fold")
    for each in told:
        subject = each.text("subject")
        row = (
            f"{each.at:%Y-%m-%d %H:%M:%S}",
            f"{each.text('action')} {each.text('outcome')}",
            f"{each.service}: {subject}" if subject else each.service,
            each.actor,
            each.text("address"),
            "; ".join(filter(None, (each.text("detail"), each.text("reason")))),
        )
        table.add_row(*map(printable, row))
    return table
