"""`sagactl orders trace`: draws the way of an order through all services, of the spans that Jaeger keeps."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, NamedTuple

import aiohttp
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sagactl.access import NoAccessError, jaeger_url
from sagactl.faults import UnavailableError
from sagactl.oncall import arguments
from sagactl.oncall.books import reading
from sagactl.terminal import Stack, absent, access, console, run

WITHIN_SECONDS: Final = 10.0
# In characters: of a bar, of the two columns of times and all gaps, and of a screen that is none.
BAR_WIDTHS: Final = range(14, 61)
TIMES_WIDTH: Final = 20
FILE_WIDTH: Final = 120
COLOURS: Final = ("cyan", "green", "yellow", "magenta", "blue", "bright_red", "bright_cyan", "bright_green")
# What Jaeger's page says where it was built without its user interface.
NO_INTERFACE: Final = "placeholder"
MILLISECOND: Final = 1000  # of Jaeger's microseconds


@dataclass(frozen=True)
class Span:
    """Something that a service did; times in microseconds."""

    id: str
    parent: str | None
    service: str
    name: str
    start: int
    duration: int
    failed: bool = False

    @property
    def end(self) -> int:
        return self.start + self.duration


class Branch(NamedTuple):
    """A span at its place in the tree: `guide` is what is drawn to the left of it."""

    guide: str
    span: Span


def spans_of(trace: Mapping[str, Any]) -> list[Span]:
    """The spans in a trace as Jaeger's API gives it."""
    services = {id_: process["serviceName"] for id_, process in trace["processes"].items()}
    return [_span(each, services) for each in trace["spans"]]


def _span(found: Mapping[str, Any], services: Mapping[str, str]) -> Span:
    parents = [each["spanID"] for each in found.get("references") or () if each["refType"] == "CHILD_OF"]
    tags = {tag["key"]: tag["value"] for tag in found.get("tags") or ()}
    return Span(
        id=found["spanID"],
        parent=parents[0] if parents else None,
        service=services[found["processID"]],
        name=found["operationName"],
        start=found["startTime"],
        duration=found["duration"],
        failed=bool(tags.get("error", False)),
    )


def tree(spans: Sequence[Span]) -> Iterator[Branch]:
    """Each span below the one that caused it, in the order of time; a root where that is unknown."""
    known = {span.id for span in spans}
    below: dict[str | None, list[Span]] = {}
    for span in sorted(spans, key=lambda span: span.start):
        below.setdefault(span.parent if span.parent in known else None, []).append(span)

    def draw(parent: str | None, margin: str) -> Iterator[Branch]:
        children = below.get(parent, [])
        for child in children:
            is_last = child is children[-1]
            yield Branch(margin + ("└ " if is_last else "├ "), child)
            yield from draw(child.id, margin + ("  " if is_last else "│ "))

    for root in below.get(None, []):
        yield Branch("", root)
        yield from draw(root.id, "")


def bar(span: Span, first: int, last: int, width: int) -> str:
    """Where the span lies between the first and the last moment of the trace: at least one block is drawn."""
    total = max(last - first, 1)
    left = min(round((span.start - first) / total * width), width - 1)
    length = max(round(span.duration / total * width), 1)
    return " " * left + "█" * min(length, width - left)


def table(spans: Sequence[Span], screen: int) -> Table:
    """For a screen of so many characters: the bars get what the words leave, and some in any case."""
    first, last = min(span.start for span in spans), max(span.end for span in spans)
    services = list(dict.fromkeys(span.service for span in sorted(spans, key=lambda span: span.start)))
    colours = {service: COLOURS[number % len(COLOURS)] for number, service in enumerate(services)}
    branches = [*tree(spans)]
    room = screen - TIMES_WIDTH - max(map(len, services))
    left = room - max(len(guide + span.name) for guide, span in branches)
    width = min(max(left, BAR_WIDTHS.start), BAR_WIDTHS.stop - 1)
    drawn = Table(box=None, pad_edge=False, header_style="dim")
    drawn.add_column("what", no_wrap=True, overflow="ellipsis", max_width=max(room - width, 1))
    drawn.add_column("service", no_wrap=True, min_width=max(map(len, services)))
    drawn.add_column("at ms", justify="right", no_wrap=True, min_width=5)
    drawn.add_column("took ms", justify="right", no_wrap=True, min_width=7)
    drawn.add_column("", no_wrap=True, min_width=width, max_width=width)
    for guide, span in branches:
        colour = "red" if span.failed else colours[span.service]
        drawn.add_row(
            Text(guide, style="dim") + Text(span.name),
            Text(span.service, style=colours[span.service]),
            f"{(span.start - first) / MILLISECOND:.0f}",
            f"{span.duration / MILLISECOND:.1f}",
            Text(bar(span, first, last, width), style=colour),
        )
    return drawn


async def spans_in(session: aiohttp.ClientSession, jaeger: str, trace_id: str) -> list[Span]:
    """The spans that Jaeger has of the trace; none if it does not know it."""
    async with session.get(f"{jaeger}/api/traces/{trace_id}") as answer:
        if answer.status == HTTPStatus.NOT_FOUND:
            return []
        answer.raise_for_status()
        return [span for found in (await answer.json())["data"] for span in spans_of(found)]


async def has_interface(session: aiohttp.ClientSession, jaeger: str) -> bool:
    """Whether this Jaeger was built with its user interface."""
    async with session.get(jaeger) as answer:
        return answer.ok and NO_INTERFACE not in await answer.text()


async def trace_ids(mongodb_url: str, order_id: str) -> list[str]:
    """The traces of the order's steps, the first one first; none where there is no such order."""
    async with reading(mongodb_url) as books:
        (case,) = await books.these([order_id])
    steps = case.order.history if case.order else ()
    return list(dict.fromkeys(step.trace_id for step in steps if step.trace_id))


async def fetch(jaeger: str, ids: Sequence[str]) -> tuple[Mapping[str, list[Span]], bool]:
    """The spans of each trace, and whether Jaeger has pages to look at. Raises UnavailableError."""
    timeout = aiohttp.ClientTimeout(total=WITHIN_SECONDS)
    try:
        async with aiohttp.ClientSession(timeout=timeout) as session:
            found = {id_: await spans_in(session, jaeger, id_) for id_ in ids}
            return found, await has_interface(session, jaeger)
    except (aiohttp.ClientError, TimeoutError) as error:
        raise UnavailableError(
            f"Jaeger at {jaeger} does not answer: {error or type(error).__name__}"
        ) from error


def trace(
    order_id: arguments.Order,
    stack: Stack = None,
) -> None:
    """Draw the path of one order through all services. Jaeger runs in the local stack, or at JAEGER_URL."""
    where = access(stack)
    try:
        jaeger = jaeger_url(stack)
    except NoAccessError as error:
        raise typer.BadParameter(str(error)) from error
    ids = run(trace_ids(where.mongodb_url, order_id))
    found, has_pages = run(fetch(jaeger, ids))
    screen = Console() if console.is_terminal else Console(width=FILE_WIDTH)
    for id_, spans in found.items():
        if spans:
            page = "trace" if has_pages else "api/traces"
            screen.print(f"[bold]{jaeger}/{page}/{id_}[/]", highlight=False, soft_wrap=True)
            screen.print(table(spans, screen.width))
    if not any(found.values()):
        kept = "Jaeger has no trace of it: it keeps traces since `make traces`"
        absent(kept if ids else f"no service knows an order {order_id}")
