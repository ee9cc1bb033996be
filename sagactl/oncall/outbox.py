"""`sagactl outbox`: events that are committed, and that the broker has not confirmed."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from operator import attrgetter
from typing import Annotated

import typer
from msgspec import Struct
from pymongo import ASCENDING

from sagactl.documents import Document
from sagactl.oncall.books import Books, reading
from sagactl.oncall.status.standing import said
from sagactl.output import Column, Form, Output, Shown, show, table
from sagactl.terminal import Stack, access, aside, run
from services.shared.contract.events import PUBLISHES
from services.shared.engine.leases import OUTBOX

app = typer.Typer(no_args_is_help=True, help="Events that wait to be published.")


class Unpublished(Struct, frozen=True, rename="camel"):
    """An event in an outbox; its body is not told."""

    service: str
    id: str
    type: str
    # The order, or the product, that it is about.
    subject: str
    # When it was committed.
    since: datetime
    # Until then it is one replica's to publish; then anybody's. None: nobody will ever find it due.
    due: datetime | None


class UnpublishedList(Document, frozen=True, kw_only=True):
    # By the database's clock.
    at: datetime
    items: tuple[Unpublished, ...]


def _known(service: str | None) -> str | None:
    if service is not None and service not in PUBLISHES:
        raise typer.BadParameter(f"{service} publishes nothing: {', '.join(PUBLISHES)} do")
    return service


@app.callback()
def _group() -> None:
    """Makes a group of it while it has one command."""


@app.command("list")
def list_(
    stack: Stack = None,
    service: Annotated[
        str | None,
        typer.Option(
            help="Only the outbox of this service.", callback=_known, autocompletion=lambda: list(PUBLISHES)
        ),
    ] = None,
    limit: Annotated[
        int, typer.Option(min=1, max=100_000, help="At most this many events per service, the oldest.")
    ] = 100,
    output: Form = Output.TABLE,
) -> None:
    """Show events that wait to be published, the oldest first. Only reads.

    In a healthy shop, an event waits for milliseconds.
    """
    services = [service] if service else [*PUBLISHES]
    found = run(_read(access(stack).mongodb_url, services, limit))
    show(shown(found), output)
    full = [name for name, number in Counter(each.service for each in found.items).items() if number == limit]
    if full:
        aside.print(f"There may be more in {', '.join(full)}: use --limit", highlight=False)


async def _read(mongodb_url: str, services: Sequence[str], limit: int) -> UnpublishedList:
    async with reading(mongodb_url) as books:
        items = [each for service in services for each in await _of(books, service, limit)]
        return UnpublishedList(at=await books.now(), items=tuple(items))


async def _of(books: Books, service: str, limit: int) -> Sequence[Unpublished]:
    """Rows are in the order of their ids; each has one event at least."""
    rows = books.of(service)[OUTBOX].find({}, {"events.body": 0}).sort("_id", ASCENDING).limit(limit)
    events = [
        Unpublished(service, event["id"], event["type"], event["subject"], row["at"], row.get("due"))
        async for row in rows
        for event in row["events"]
    ]
    return events[:limit]


def shown(found: UnpublishedList) -> Shown:
    columns: Sequence[Column[Unpublished]] = (
        Column("service", attrgetter("service")),
        Column("event", attrgetter("type")),
        Column("about", attrgetter("subject"), whole=True),
        Column("for", lambda each: said(found.at - each.since)),
        Column("since", attrgetter("since"), wide=True),
        Column("due", lambda each: each.due or "never", wide=True),
        Column("message", attrgetter("id"), wide=True),
    )
    text = table(found.items, "event", columns, "Nothing waits to be published.")
    return Shown(found, text, [each.id for each in found.items], found.items)
