"""How the shop stands, as the page Now shows it: what is wrong first, each with where to look next. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Final, NamedTuple

from msgspec import Struct

from console.commands import page_of
from console.curves import Curves, Sample, a_second, curves, ended, share
from console.words import elapsed
from sagactl.oncall.status.standing import LATELY, PROMISED, Backlog, Part, Settling, Status, gaps, said
from services.order.model import Status as State

SEE: Final = " See sagactl "
# Not yet at their first end.
UNDER_WAY: Final = frozenset({State.PENDING, State.CONFIRMED})
# Within less, what is under way differs by chance.
APART: Final = timedelta(seconds=20)


class Problem(NamedTuple):
    says: str
    # Where it is looked at: a page of ours; empty where there is none.
    link: str
    # What to type instead, at a terminal.
    command: str


class Probed(NamedTuple):
    """What a service answers at its probe. In a cluster that is one of its pods that are ready, if any is."""

    ready: bool
    # Empty where it does not say.
    version: str
    # Why it is not ready, or what it does without.
    says: str = ""


class Service(NamedTuple):
    """Whether it is there."""

    name: str
    word: str
    shape: str
    mood: str
    # Empty where it does not say.
    version: str
    says: str


class Page(Struct, frozen=True, kw_only=True):
    status: Status
    services: tuple[Service, ...]
    problems: tuple[Problem, ...]
    # What could not be seen, a sentence for each reason.
    gaps: tuple[str, ...]
    # Orders a second; None while they are unseen, and so with the others.
    placed: str | None
    # New orders that were refused a second.
    shed: str | None
    # Those that came to their first end; empty where nobody has looked for long enough to tell.
    ended: str | None
    open_orders: int | None
    marked: int | None
    letters: int | None
    unsent: int | None
    # Within which 95 of 100 orders are settled, and of how many that is told: empty where there were none.
    settled: str | None
    settled_of: int
    # Which share of as many was not settled within that time; empty where there were none.
    late: str | None
    promised: str
    # How these numbers went.
    curves: Curves


def page(status: Status, probed: Mapping[str, Probed | None], samples: Sequence[Sample] = ()) -> Page:
    """`probed`: by its name, what each service answers, if it does. `samples`: the oldest first."""
    services = tuple(_service(*each) for each in probed.items())
    now = sample(status)
    is_unseen = any(each.part is Part.SETTLING for each in status.unseen)
    return Page(
        status=status,
        services=services,
        problems=(*map(problem, status.problems), *_of_services(services)),
        gaps=tuple(gaps(status.unseen)),
        placed=None if now.placed is None else a_second(now.placed),
        shed=None if now.shed is None else a_second(now.shed),
        ended=_ended(samples, now),
        open_orders=now.open_orders,
        marked=now.marked,
        letters=now.letters,
        unsent=now.unsent,
        settled=None if is_unseen else _settled(status.settling),
        settled_of=status.settling.orders if status.settling else 0,
        late=None if is_unseen else "" if now.late is None else share(now.late),
        promised=said(PROMISED),
        curves=curves(samples, status.at),
    )


def sample(status: Status) -> Sample:
    """The numbers of the page, to be drawn later."""
    unseen = {each.part for each in status.unseen}
    depths = status.queues
    under_way = [each for each in status.orders if each.of in UNDER_WAY]
    return Sample(
        at=status.at,
        placed=status.placed,
        shed=None if status.shed is None else status.shed / LATELY.total_seconds(),
        under_way=None if Part.ORDERS in unseen else _sum(under_way),
        open_orders=None if Part.ORDERS in unseen else _sum(status.orders),
        marked=None if Part.MARKED in unseen else status.marked,
        letters=None if depths is None else sum(each.dead for each in depths),
        unsent=None if Part.OUTBOXES in unseen else _sum(status.outboxes),
        settled=status.settling.within if status.settling else None,
        late=status.settling.late / status.settling.orders if status.settling else None,
    )


def _service(name: str, probed: Probed | None) -> Service:
    if probed is None:
        return Service(name, "does not answer", "✖", "bad", "", "")
    if not probed.ready:
        return Service(name, "not ready", "‼", "bad", probed.version, probed.says)
    mood = "doubtful" if probed.says else "good"
    return Service(name, "ready", "✓", mood, probed.version, probed.says)


def _of_services(services: Iterable[Service]) -> Iterator[Problem]:
    for each in services:
        if each.mood == "bad":
            says = f"is not ready: {each.says}" if each.says else each.word
            yield Problem(f"{each.name} {says}", "#services", "")


def _ended(samples: Sequence[Sample], now: Sample) -> str | None:
    if now.placed is None or now.under_way is None:
        return None
    sooner = next((each for each in reversed(samples) if now.at - each.at >= APART), None)
    rate = None if sooner is None else ended(sooner, now)
    return "" if rate is None else a_second(rate)


def _settled(settling: Settling | None) -> str:
    if settling is None:
        return ""
    return "not yet" if settling.within is None else elapsed(timedelta(seconds=settling.within))


def _sum(backlogs: Sequence[Backlog]) -> int:
    return sum(each.number for each in backlogs)


def problem(sentence: str) -> Problem:
    """What `sagactl status` says to type is a page here."""
    says, found, rest = sentence.partition(SEE)
    command = f"sagactl {rest}" if found else ""
    return Problem(says, page_of(command), command)
