"""What customers were written, as its page shows it; and an example of every mail. Pure."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from email.message import EmailMessage
from enum import StrEnum
from typing import Final, Literal, NamedTuple, TypeAlias
from urllib.parse import quote, urlencode

from msgspec import Struct

from console.words import shortened
from sagactl.oncall.sample_mails import examples, sender_in
from services.notification.domain import Notification, NotificationState, check_resendable
from services.shared.contract.decisions import Refused
from services.shared.emails import hidden
from services.shared.mail.writing import LANGUAGES

PATH: Final = "/mails"
PREVIEW: Final = "/mails/preview"
# Of the preview, the mail itself, as its HTML has it.
ALONE: Final = "/mails/example"
# Word, shape and mood.
SHAPES: Final[Mapping[NotificationState, tuple[str, str, str]]] = {
    NotificationState.RECORDED: ("no mail", "○", "withoutEffect"),
    NotificationState.WAITING: ("waiting", "→", "moving"),
    NotificationState.SENT: ("sent", "✓", "good"),
    NotificationState.FAILED: ("never sent", "✖", "bad"),
}


class Show(StrEnum):
    """Which."""

    LATEST = "latest"
    WAITING = "waiting"
    NEVER_SENT = "never sent"


Unsent: TypeAlias = Literal[NotificationState.WAITING, NotificationState.FAILED]
STATES: Final[Mapping[Show, Unsent]] = {
    Show.WAITING: NotificationState.WAITING,
    Show.NEVER_SENT: NotificationState.FAILED,
}


class Tab(NamedTuple):
    name: str
    link: str
    is_here: bool


class Row(NamedTuple):
    at: datetime
    # The event's type.
    kind: str
    # The order's page.
    order: str
    order_id: str
    recipient: str
    subject: str
    word: str
    shape: str
    mood: str
    why: str
    # Where it is sent once more; empty where there is nothing to send.
    resend: str


class Resend(Struct, frozen=True, kw_only=True):
    """What would be sent once more."""

    id: str
    kind: str
    order: str
    order_id: str
    recipient: str
    # Why it may not be; empty where it may.
    why_not: str


class Page(Struct, frozen=True, kw_only=True):
    tabs: tuple[Tab, ...]
    rows: tuple[Row, ...]


class Preview(Struct, frozen=True, kw_only=True):
    """An example of one kind, in one language."""

    kinds: tuple[Tab, ...]
    languages: tuple[Tab, ...]
    kind: str
    language: str
    subject: str
    text: str
    # The page that is the mail's HTML, and nothing else.
    alone: str


def page(told: Iterable[Notification], show: Show) -> Page:
    tabs = tuple(Tab(each, _link_to(each), each is show) for each in Show)
    return Page(tabs=tabs, rows=tuple(map(_row, told)))


def _link_to(show: Show) -> str:
    return PATH if show is Show.LATEST else f"{PATH}?{urlencode({'show': show})}"


def to_resend(told: Notification) -> Resend:
    return Resend(
        id=told.id,
        kind=told.kind,
        order=_order(told),
        order_id=told.order_id,
        recipient=_recipient(told),
        why_not=_why_not(told),
    )


def _why_not(told: Notification) -> str:
    """In the notification service's own words; empty where its mail can be sent once more."""
    try:
        check_resendable(told)
    except Refused as error:
        return str(error)
    return ""


def path_to_resend(id_: str) -> str:
    return f"{PATH}/{quote(id_, safe='')}/resend"


def link_to_resend(told: Notification) -> str:
    """Empty where it cannot be."""
    return "" if _why_not(told) else path_to_resend(told.id)


def _order(told: Notification) -> str:
    return f"/orders/{quote(told.order_id, safe='')}"


def _recipient(told: Notification) -> str:
    return shortened(told.recipient) if told.recipient else "the shop's staff"


def _row(told: Notification) -> Row:
    word, shape, mood = SHAPES[told.state]
    if told.resend is not None:
        word = f"{word}, and being sent again"
    return Row(
        at=told.at,
        kind=told.kind,
        order=_order(told),
        order_id=told.order_id,
        recipient=_recipient(told),
        subject=hidden(told.subject),
        word=word,
        shape=shape,
        mood=mood,
        why=hidden(told.reason),
        resend=link_to_resend(told),
    )


def preview(kind: str, language: str) -> Preview | None:
    """None where there is no such kind, or no such language. An empty kind is the first."""
    mails = _in(language)
    chosen = kind or next(iter(mails), "")
    if chosen not in mails:
        return None
    return Preview(
        kinds=tuple(Tab(each, _link(PREVIEW, each, language), each == chosen) for each in mails),
        languages=tuple(Tab(each, _link(PREVIEW, chosen, each), each == language) for each in LANGUAGES),
        kind=chosen,
        language=language,
        subject=str(mails[chosen]["Subject"]),
        text=_body(mails[chosen], "plain"),
        alone=_link(ALONE, chosen, language),
    )


def html_of(kind: str, language: str) -> str | None:
    """None where there is no such kind, or no such language."""
    mail = _in(language).get(kind)
    return None if mail is None else _body(mail, "html")


def _in(language: str) -> Mapping[str, EmailMessage]:
    return dict(examples(sender_in(language))) if language in LANGUAGES else {}


def _body(mail: EmailMessage, part: str) -> str:
    body = mail.get_body((part,))
    return "" if body is None else str(body.get_content())


def _link(path: str, kind: str, language: str) -> str:
    return f"{path}?{urlencode({'kind': kind, 'language': language})}"
