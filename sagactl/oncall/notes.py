"""What a check tells beside its findings: all books agree, and somebody may have something to do even so.

Endpoints are other people's, and the mail server is nobody's book: neither makes a shop unsound.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final
from urllib.parse import urlsplit

from sagactl.oncall.books import Books
from sagactl.oncall.invariants import Case
from sagactl.oncall.report import Note
from sagactl.wording import command_line, plural
from services.notification import queries
from services.notification.domain import Notification, NotificationState
from services.notification.endpoints import Endpoint

# After a day without a mail server there may be as many as orders: beyond these they are counted.
LISTED_AT_MOST: Final = 100


async def notes(books: Books, before: datetime | None = None) -> list[Note]:
    """Endpoints that are disabled, and mails that wait: all, or those that did so `before`, as in a shop at
    work there is always one. Raises PyMongoError.
    """
    store = books.store("notification")
    waiting = await queries.waiting_longest(store, before, LISTED_AT_MOST + 1)
    found = [*map(_of_endpoint, await queries.disabled(store)), *map(_of_mail, waiting[:LISTED_AT_MOST])]
    if len(waiting) > LISTED_AT_MOST:
        number = plural(await queries.count_waiting(store), "mail")
        see = command_line("mails list", state="waiting")
        found.append(Note("mails", f"{number} in all: {see} shows the latest"))
    return found


def notes_of(cases: Sequence[Case]) -> Iterator[Note]:
    """The mails of these orders that wait."""
    for each in (told for case in cases for told in case.notifications):
        if each.state is NotificationState.WAITING or each.resend is not None:
            yield _of_mail(each)


def _of_endpoint(endpoint: Endpoint) -> Note:
    # Of its URL only the host: the path may be a secret.
    host = urlsplit(endpoint.url).hostname
    why = f"a webhook endpoint at {host}, disabled since {_time(endpoint.updated_at)}: {endpoint.reason}"
    return Note(endpoint.id, why)


def _of_mail(told: Notification) -> Note:
    again = told.resend and f"which somebody had sent once more at {_time(told.resend.asked_at)}, "
    since = "" if told.resend else f" since {_time(told.at)}"
    return Note(told.id, f"the mail of {told.kind} about order {told.order_id}, {again or ''}waits{since}")


def _time(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"
