"""`sagactl mails`: what customers are written, and what became of it; one of them sent once more.

Whether it may be, the notification service decides, by the login of who asks.
"""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from operator import attrgetter
from pathlib import Path
from typing import Annotated, Final, Literal
from urllib.parse import quote

import typer
from msgspec import Struct, structs

from sagactl.documents import Document
from sagactl.faults import AbsentError
from sagactl.oncall import arguments
from sagactl.oncall.acting import Act, Asked, Words, decided, lines, post
from sagactl.oncall.books import reading
from sagactl.oncall.sample_mails import SHOP, examples, sender_in
from sagactl.oncall.status.standing import said
from sagactl.output import Column, Form, Output, Shown, show, table
from sagactl.terminal import Stack, access, run
from services.notification import queries
from services.notification.domain import Notification, NotificationState, check_resendable
from services.shared.contract.audit import Action
from services.shared.contract.decisions import Refused
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
    # When somebody had it sent once more, while that mail is on its way.
    resent_at: datetime | None

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
            resent_at=None if found.resend is None else found.resend.asked_at,
        )

    @property
    def standing(self) -> str:
        return self.state if self.resent_at is None else f"{self.state}, sent once more"


class MailList(Document, frozen=True, kw_only=True):
    # By the database's clock.
    at: datetime
    # The newest first.
    items: tuple[Mail, ...]


@app.command("list")
def list_(
    stack: Stack = None,
    state: Annotated[Unsent | None, typer.Option(help="Only mails that wait, or were never sent.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most this many mails, the newest.")] = 50,
    output: Form = Output.TABLE,
) -> None:
    """Show mails to customers and their state, the newest first. Only reads."""
    show(shown(run(_read(access(stack).mongodb_url, state, limit))), output)


async def _read(mongodb_url: str, state: Unsent | None, limit: int) -> MailList:
    async with reading(mongodb_url) as books:
        found = await queries.latest(books.store("notification"), STATES[state] if state else None, limit)
        return MailList(at=await books.now(), items=tuple(map(Mail.of, found)))


def shown(found: MailList) -> Shown:
    columns: Sequence[Column[Mail]] = (
        Column("mail", attrgetter("id"), whole=True),
        Column("order", attrgetter("order")),
        Column("told", attrgetter("kind")),
        Column("state", attrgetter("standing")),
        Column("ago", lambda each: said(found.at - each.at)),
        Column("why", attrgetter("reason")),
        Column("to", lambda each: "staff" if each.to_staff else "customer", wide=True),
        Column("at", attrgetter("at"), wide=True),
        Column("subject", attrgetter("subject"), wide=True),
    )
    return Shown(found, table(found.items, "mail", columns), [each.id for each in found.items], found.items)


class Resending(Document, frozen=True, kw_only=True):
    """A mail is sent once more, or would be."""

    mail: str
    order: str
    # The event that it tells of.
    told: str
    allowed: bool
    # What comes of it; or why it may not be done.
    says: str
    done: bool = False

    @property
    def subject(self) -> str:
        return self.order


@app.command()
def resend(
    mail: arguments.Mail,
    stack: Stack = None,
    reason: arguments.Reason = None,
    dry_run: arguments.DryRun = False,  # noqa: FBT002  # an option
    yes: arguments.Yes = False,  # noqa: FBT002  # an option
    output: Form = Output.TABLE,
) -> None:
    """Send the mail of a notification again, to the same address and with the same content, as a new mail.

    It is sent in the background: `sagactl mails list` shows its state.

    Exit code 0: it is under way. 1: there is no mail to send, or it is already under way. 3: it was only
    planned.
    """
    planned, _ = decided(
        stack,
        Act(Action.MAIL_RESENT, f"Send mail {mail} again?"),
        Asked(reason, dry_run, yes, output),
        lambda where: _planned(where.mongodb_url, mail),
        resending,
    )
    post(stack, f"/api/notifications/{quote(mail, safe='')}/resend", {})
    show(resending(structs.replace(planned, done=True)), output)


async def _planned(mongodb_url: str, mail: str) -> Resending:
    """Raises AbsentError where there is none."""
    async with reading(mongodb_url) as books:
        found = await books.store("notification").get(Notification, mail)
    if found is None:
        raise AbsentError(f"there is no mail {mail}: see sagactl mails list")
    return plan(found)


def plan(found: Notification) -> Resending:
    """What would come of it, by the notification service's own rules."""
    mail = Resending(
        mail=found.id,
        order=found.order_id,
        told=found.kind,
        allowed=True,
        says="a new mail to the same customer, with the same content",
    )
    try:
        check_resendable(found)
    except Refused as error:
        return structs.replace(mail, allowed=False, says=str(error))
    return mail


def resending(found: Resending) -> Shown:
    words = Words(
        noun="mail",
        name=f"{found.mail}: {found.told} of order {found.order}",
        act="send it again",
        became=f"mail {found.mail} is being sent again",
    )
    return Shown(found, lambda _: lines(found, words), [found.mail])


@app.command()
def preview(
    out: Annotated[Path, typer.Option(help="Folder to which the examples are written.")] = Path("mails"),
    shop: Annotated[str, typer.Option(help="Name of the shop, as in MAIL_FROM.")] = SHOP,
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
