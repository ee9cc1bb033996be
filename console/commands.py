"""Commands of sagactl and pages of the console that show or do the same. Pure."""

import shlex
from collections.abc import Iterator
from typing import Final, NamedTuple
from urllib.parse import quote, urlencode

from console.checks import PATH as CHECKS_PAGE
from console.letters import Wanted as Letters
from console.mails import STATES
from console.mails import Show as Mails
from console.orders import PATH as ORDERS
from console.orders import Show
from console.orders import Wanted as Orders
from console.trail import Wanted as Entries
from sagactl.oncall.jobs.job import Verb
from sagactl.wording import command_line

# An empty reason is none: sagactl does nothing before it is filled in.
FILL_IN: Final = "the same, with your reason between the quotes"


# Of commands that are about nothing in particular.
PAGES: Final = {
    "sagactl orders list --marked": Orders(Show.ATTENTION).link_to(ORDERS),
    "sagactl check --live": CHECKS_PAGE,
}


class Command(NamedTuple):
    """Of sagactl, to be pasted into a shell."""

    # Beside the page that it is on.
    does: str
    text: str


def page_of(command: str) -> str:  # noqa: PLR0911  # a case each
    """Its page; empty where it has none."""
    match [word for word in shlex.split(command) if word != "--"]:
        case ["sagactl", "explain", order] | ["sagactl", "orders", "show", order]:
            return f"/orders/{quote(order, safe='')}"
        case ["sagactl", "repair", order]:
            return f"/orders/{quote(order, safe='')}/repair"
        case ["sagactl", "letters", "list", "--queue", queue]:
            return _with("/letters", queue=queue)
        case ["sagactl", "letters", "list", "--discarded", "--queue", queue]:
            return _with("/letters/discarded", queue=queue)
        case ["sagactl", "letters", "show", queue, id_]:
            return _with("/letter", queue=queue, id=id_)
        case ["sagactl", "letters", "redrive", queue, "--id", id_]:
            return _with("/letters/redrive", queue=queue, id=id_)
        case ["sagactl", "letters", ("discard" | "restore") as verb, queue, id_]:
            return _with(f"/letters/{verb}", queue=queue, id=id_)
        case ["sagactl", "stock", "show", product]:
            return f"/products/{quote(product, safe='')}"
    return PAGES.get(command, "")


def _with(path: str, **query: str) -> str:
    return f"{path}?{urlencode(query)}"


# --- what does the same as a page ---------------------------------------------------------------------------

NOW: Final = (
    Command("the same", command_line("status")),
    Command("again and again", command_line("status", watch=True)),
)
STUCK: Final = (
    Command("the same", command_line("stuck list")),
    Command("what a sweep would do", command_line("stuck sweep", dry_run=True)),
)
SWEEP: Final = (Command("the same, by the login of an administrator", command_line("stuck sweep")),)
QUEUES: Final = (
    Command("queues", command_line("queues list")),
    Command("what was not sent yet", command_line("outbox list")),
)
CHECKS: Final = (
    Command("of orders of the last 24 hours", command_line("check", live=True, since="24h ago")),
    Command("of all", command_line("check", live=True)),
)
EXAMPLES: Final = (Command("examples of all mails, as files", command_line("mails preview")),)


def of_orders(wanted: Orders) -> Iterator[Command]:
    """Nothing where sagactl chooses by other things."""
    if wanted.show is Show.ALL:
        times = {
            name: at.isoformat() for name, at in (("since", wanted.since), ("until", wanted.until)) if at
        }
        yield Command("the same", command_line("orders list", status=wanted.status, **times))
    elif wanted == Orders(Show.ATTENTION):
        yield Command("the same", command_line("orders list", marked=True))


def of_order(order: str) -> Iterator[Command]:
    yield Command("the same", command_line("explain", order))
    yield Command("what the services know", command_line("orders show", order))
    yield Command("what happens to it, as it does", command_line("orders watch", order))


def of_action(action: str, order: str, reason: str) -> Iterator[Command]:
    """One of the saga's table."""
    yield Command(FILL_IN, command_line(f"orders {action}", order, reason=reason))


def of_repair(order: str, *, is_to_be_done: bool) -> Iterator[Command]:
    yield Command("the same", command_line("repair", order))
    if is_to_be_done:
        yield Command(f"all of it; {FILL_IN}", command_line("repair", order, apply=True, reason=""))


def of_letters(wanted: Letters) -> Iterator[Command]:
    """Nothing where sagactl chooses by other things."""
    if wanted == Letters(queue=wanted.queue):
        yield Command("the same", command_line("letters list", queue=wanted.queue or None))
        yield Command("by cause", command_line("letters groups", queue=wanted.queue or None))


def of_discarded(wanted: Letters) -> Iterator[Command]:
    """Nothing where sagactl chooses by other things."""
    if wanted == Letters(queue=wanted.queue):
        yield Command("the same", command_line("letters list", discarded=True, queue=wanted.queue or None))


def of_letter(queue: str, id_: str) -> Iterator[Command]:
    yield Command("the same", command_line("letters show", queue, id_))
    yield Command("what redriving it would do", command_line("letters preview", queue, id=id_))


def of_plan(verb: Verb, wanted: Letters, reason: str) -> Iterator[Command]:
    """Nothing where sagactl chooses by other things, or discards or restores several that were chosen one by
    one.
    """
    queue, kind, type_, ids = wanted.queue, wanted.kind or None, wanted.type or None, wanted.ids
    if wanted == Letters(queue=queue, ids=ids) and ids:
        if verb is Verb.REDRIVE:
            yield Command("the same", command_line("letters redrive", queue, id=ids))
        elif len(ids) == 1:
            yield Command(FILL_IN, command_line(f"letters {verb}", queue, *ids, reason=reason))
    elif queue and not wanted.text and ids is None:
        chosen = command_line("jobs start", verb, queue=queue, kind=kind, type=type_, reason=reason)
        yield Command(FILL_IN, chosen)


def of_mails(show: Mails) -> Iterator[Command]:
    state = STATES.get(show)
    yield Command("the same", command_line("mails list", state=state and state.lower()))


def of_resend(mail: str, reason: str) -> Iterator[Command]:
    yield Command(FILL_IN, command_line("mails resend", mail, reason=reason))


def of_product(product: str) -> Iterator[Command]:
    yield Command("the same", command_line("stock show", product))
    yield Command("what people said of its stock", command_line("stock history", product))


def of_restock(product: str, pieces: int, reason: str) -> Iterator[Command]:
    yield Command(FILL_IN, command_line("stock restock", product, str(pieces), reason=reason))


def of_trail(wanted: Entries) -> Iterator[Command]:
    named = {name: value or None for name, value in wanted._asdict().items()}
    yield Command("more of it", command_line("audit", **named))


def of_search(text: str) -> Iterator[Command]:
    yield Command("the same", command_line("find", text))
