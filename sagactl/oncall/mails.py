"""`sagactl mails`: what customers are written, and what became of it, without writing to anybody."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from operator import attrgetter
from pathlib import Path
from typing import Annotated, Final, Literal

import typer
from msgspec import Struct

from sagactl.documents import Document
from sagactl.oncall.books import reading
from sagactl.oncall.sample_mails import SHOP, examples, sender_in
from sagactl.oncall.status.standing import said
from sagactl.output import Column, Form, Output, Shown, show, table
from sagactl.terminal import Stack, access, run
from services.notification import queries
from services.notification.domain import Notification, NotificationState
from services.shared.emails import hidden
from services.shared.mail.writing import LANGUAGES

app = typer.Typer(no_args_is_help=True, help="Mails to customers.")


class Unsent(StrEnum):
    """Those that somebody may have to do something about."""

    WAITING = "waiting"
    FAILED = "failed"


STATES: Final[dict[Unsent, Literal[NotificationState.WAITING, NotificationState.FAILED]]] = {
    Unsent.WAITING: NotificationState.WAITING,
    Unsent.FAILED: NotificationState.FAILED,
}


class Mail(Struct, frozen=True, rename="camel", kw_only=True):
    """What was said of an order; without the address that it went to."""

    id: str
    order: str
    # The event that it tells of.
    kind: str
    state: NotificationState
    to_staff: bool
    at: datetime
    # In a line.
    subject: str
    # Why it was never sent.
    reason: str

    @classmethod
    def of(cls, found: Notification) -> "Mail":
        return cls(
            id=found.id,
            order=found.order_id,
            kind=found.kind,
            state=found.state,
            to_staff=found.recipient is None,
            at=found.at,
            subject=hidden(found.subject),
            reason=hidden(found.reason),
        )


class MailList(Document, frozen=True, kw_only=True):
    # By the database's clock.
    at: datetime
    # The newest first.
    items: tuple[Mail, ...]


@app.command("list")
def list_(
    stack: Stack = None,
    state: Annotated[Unsent | None, typer.Option(help="Only those that wait, or were never sent.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many, the newest.")] = 50,
    output: Form = Output.TABLE,
) -> None:
    """Show what customers were told, the newest first, and what became of it. Only reads."""
    show(shown(run(_read(access(stack).mongodb_url, state, limit))), output)


async def _read(mongodb_url: str, state: Unsent | None, limit: int) -> MailList:
    async with reading(mongodb_url) as books:
        found = await queries.latest(books.store("notification"), STATES[state] if state else None, limit)
        return MailList(at=await books.now(), items=tuple(map(Mail.of, found)))


def shown(found: MailList) -> Shown:
    columns: Sequence[Column[Mail]] = (
        Column("order", attrgetter("order"), whole=True),
        Column("told", attrgetter("kind")),
        Column("state", attrgetter("state")),
        Column("ago", lambda each: said(found.at - each.at)),
        Column("why", attrgetter("reason")),
        Column("to", lambda each: "staff" if each.to_staff else "customer", wide=True),
        Column("at", attrgetter("at"), wide=True),
        Column("subject", attrgetter("subject"), wide=True),
    )
    return Shown(
        found, table(found.items, "mail", columns), [each.order for each in found.items], found.items
    )


@app.command()
def preview(
    out: Annotated[Path, typer.Option(help="The folder that they are written to.")] = Path("mails"),
    shop: Annotated[str, typer.Option(help="The shop's name, as in MAIL_FROM.")] = SHOP,
) -> None:
    """Write an example of every mail in every language: as a mail (.eml), and its parts (.html, .txt)."""
    out.mkdir(parents=True, exist_ok=True)
    for language in LANGUAGES:
        for kind, written in examples(sender_in(language, shop)):
            name = f"{kind}.{language}"
            (out / f"{name}.eml").write_bytes(written.as_bytes())
            for suffix, part in (("html", "html"), ("txt", "plain")):
                body = written.get_body((part,))
                assert body is not None  # noqa: S101  # it was composed with both
                (out / f"{name}.{suffix}").write_text(body.get_content())
            typer.echo(f"{out / name}: {written['Subject']}")
