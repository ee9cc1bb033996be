"""`sagactl audit`: who did what, from where, and what came of it, over all services."""

from collections.abc import Sequence
from operator import attrgetter
from typing import Annotated, Any, Final

import typer

from sagactl.documents import Document
from sagactl.oncall import trails
from sagactl.oncall.books import Books
from sagactl.oncall.stores import connect
from sagactl.oncall.times import moment
from sagactl.oncall.trails import Told, Wanted
from sagactl.output import Column, Form, Output, Shown, show, table
from sagactl.terminal import Stack, access, run
from services.shared.contract.audit import Action


def audit(  # noqa: PLR0917 - a command's options
    stack: Stack = None,
    since: Annotated[
        str | None, typer.Option(help="Only entries since then: 2h ago, or a date such as 2026-11-26T08:00.")
    ] = None,
    actor: Annotated[str | None, typer.Option(help="Only actions by this id.")] = None,
    subject: Annotated[
        str | None, typer.Option(help="Only actions on this id: an order, a product, an account.")
    ] = None,
    action: Annotated[Action | None, typer.Option(help="Only this action.")] = None,
    limit: Annotated[
        int, typer.Option(min=1, max=100_000, help="At most this many entries, the latest.")
    ] = 1000,
    output: Form = Output.TABLE,
) -> None:
    """Show the audit trails of all services, ordered by time."""
    wanted = Wanted(moment(since), actor, subject, action)
    told = run(_told(access(stack).mongodb_url, wanted, limit))
    show(shown(told), output)


async def _told(mongodb_url: str, wanted: Wanted, limit: int) -> list[Told]:
    async with connect(mongodb_url) as client:
        return await trails.told(Books(client), wanted, limit)


class EntryList(Document, frozen=True, kw_only=True):
    """Of all services' trails. A service may be of another release: an entry may say anything."""

    items: tuple[dict[str, Any], ...]


def _of(entry: Told) -> str:
    subject = entry.text("subject")
    return f"{entry.service}: {subject}" if subject else entry.service


COLUMNS: Final[Sequence[Column[Told]]] = (
    Column("time", attrgetter("at")),
    Column("what", lambda each: f"{each.text('action')} {each.text('outcome')}"),
    Column("of", _of),
    Column("by", lambda each: each.actor),
    Column("from", lambda each: each.text("address")),
    Column("why", lambda each: "; ".join(filter(None, (each.text("detail"), each.text("reason"))))),
    Column("id", lambda each: each.text("_id"), wide=True),
)


def shown(told: Sequence[Told]) -> Shown:
    items = tuple(each.to_json() for each in told)
    names = [each.text("_id") for each in told]
    return Shown(EntryList(items=items), table(told, "entry", COLUMNS), names, items)
