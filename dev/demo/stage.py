"""What the audience sees: headlines, orders with their events as they happen, and what was expected."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TypeAlias

from rich.console import Console, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from sagactl import polling
from sagactl.shop import Client, Json

POLL_SECONDS = 0.1
PATIENCE_SECONDS = 60
Show: TypeAlias = Callable[[Json, list[Json]], None]
STYLES = {"PAID": "bold green", "CANCELLED": "bold yellow", "REFUNDED": "bold yellow"}


class Stage:
    def __init__(self, console: Console) -> None:
        self.console = console
        self.failures: list[str] = []
        self._told: dict[str, int] = {}  # how many of an order's events, where there is no live table

    def headline(self, title: str, story: str) -> None:
        self.console.rule(Text(title, style="bold"), align="left")
        self.console.print(story, style="dim", highlight=False)

    def say(self, text: str) -> None:
        self.console.print(f"  [dim]·[/] {text}", highlight=False, soft_wrap=True)

    @contextmanager
    def working(self, what: str) -> Iterator[None]:
        """Show that something takes a while, then how long it took."""
        began = time.monotonic()
        with self.console.status(f"[dim]{what} ...[/]"):
            yield
        self.say(f"{what}: {time.monotonic() - began:.1f} s")

    def expect(self, what: str, *, holds: bool) -> None:
        mark = "[green]✓[/]" if holds else "[red]✗[/]"
        self.console.print(f"  {mark} {what}", highlight=False, soft_wrap=True)
        if not holds:
            self.failures.append(what)

    async def follow(self, shopper: Client, order_id: str, title: str, until: Callable[[Json], bool]) -> Json:
        """Show the order's events as they happen, until `until` holds for it. Raises TimeoutError."""
        with self._live(title) if self.console.is_terminal else self._plain(title) as show:

            async def shown() -> Json:
                order, timeline = await shopper.order(order_id), await shopper.timeline(order_id)
                show(order, timeline)
                return order

            return await polling.until(
                shown, until, within=PATIENCE_SECONDS, what=title, every=POLL_SECONDS, told=_state
            )

    @contextmanager
    def _live(self, title: str) -> Iterator[Show]:
        """Show a table that grows by one row per event."""
        with Live(console=self.console, refresh_per_second=10) as live:
            yield lambda order, timeline: live.update(_table(title, order, timeline))

    @contextmanager
    def _plain(self, title: str) -> Iterator[Show]:
        """Print one line per event."""
        if title not in self._told:
            self.console.print(f"  {title}", highlight=False, soft_wrap=True)

        def show(_order: Json, timeline: list[Json]) -> None:
            for entry in timeline[self._told.get(title, 0) :]:
                self.console.print("   ", *_cells(entry, timeline[0]), highlight=False, soft_wrap=True)
            self._told[title] = len(timeline)

        yield show


def _table(title: str, order: Json, timeline: list[Json]) -> RenderableType:
    table = Table(
        title=title, caption=_state(order), title_justify="left", caption_justify="left", min_width=60
    )
    table.add_column("after", justify="right")
    table.add_column("event", min_width=26)
    table.add_column("status", min_width=24)
    for entry in timeline:
        table.add_row(*_cells(entry, timeline[0]))
    return table


def _cells(entry: Json, first: Json) -> tuple[str, str, Text]:
    milliseconds = (_time(entry) - _time(first)).total_seconds() * 1000
    before, after = entry["from"], entry["to"]
    status = f"{before} -> {after}" if before and before != after else after
    style = STYLES.get(after, "") if before != after else "dim"
    return f"{milliseconds:6.0f} ms", entry["event"], Text(status, style=style)


def _time(entry: Json) -> datetime:
    return datetime.fromisoformat(entry["at"])


def _state(order: Json) -> str:
    given_back = ", ".join(
        f"{what} {progress}" for what, progress in order["compensation"].items() if progress != "none"
    )
    settled = "settled" if order["settled"] else "in progress"
    return ", ".join(filter(None, (order["status"], settled, given_back and f"given back: {given_back}")))
