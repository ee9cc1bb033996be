"""What a replay found: its document, and how it is said."""

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from msgspec import Struct

from sagactl.documents import Document
from sagactl.wording import plural
from services.order.histories import Difference

SHOWN: Final = 20


class Differing(Struct, frozen=True, rename="camel"):
    order: str
    difference: Difference


class Replay(Document, frozen=True, kw_only=True):
    # The release whose table it is.
    version: str
    at: datetime
    histories: int
    steps: int
    # What it would decide otherwise.
    items: tuple[Differing, ...]


def lines(replay: Replay, *, wide: bool) -> Iterator[str]:
    """All that differs where it may be wide."""
    shown = replay.items if wide else replay.items[:SHOWN]
    for each in shown:
        found = each.difference
        step = f", step {found.step}: {found.event} {found.event_id}"
        yield f"{each.order}{step if found.event else ': its document'}"
        yield f"  was        {found.recorded}"
        yield f"  would be   {found.decided}"
    if more := len(replay.items) - len(shown):
        yield f"and {more} more: -o wide names all"
    seen = f"{plural(replay.histories, 'history')} of {plural(replay.steps, 'step')}"
    if replay.items:
        yield f"{len(replay.items)} of {seen} would be decided differently by {replay.version}"
    else:
        yield f"{seen}: {replay.version} decides all of them the same way"
