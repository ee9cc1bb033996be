"""What a test does at the moment when a command goes to the database, or its answer has come.

Listeners are given to clients when these are made, so there is one for all, and a hook that tests set.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, Literal, NamedTuple

from pymongo import monitoring

Moment = Literal["started", "succeeded"]


class Point(NamedTuple):
    """Of the next command of this name: just before it is sent, or when its answer is there."""

    moment: Moment
    command: str
    # Of this collection; any unless given. (Answers do not say.)
    collection: str | None = None


class _Listener(monitoring.CommandListener):
    def __init__(self) -> None:
        self.hooks: dict[Point, Callable[[], None]] = {}

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        self._at("started", event.command_name, event.command.get(event.command_name))

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        self._at("succeeded", event.command_name, None)

    def failed(self, _event: monitoring.CommandFailedEvent) -> None:
        """Nothing waits for failures."""

    def _at(self, moment: Moment, command: str, collection: object) -> None:
        for point in list(self.hooks):
            if point[:2] == (moment, command) and point.collection in {None, collection}:
                self.hooks.pop(point)()


_LISTENER: Final = _Listener()
monitoring.register(_LISTENER)


def at(point: Point, do: Callable[[], None]) -> None:
    """Once."""
    _LISTENER.hooks[point] = do


@contextmanager
def nothing_left() -> Iterator[None]:
    """Fails where a point was not come by: the test would have tested nothing."""
    try:
        yield
        assert not _LISTENER.hooks, f"never came by {list(_LISTENER.hooks)}"
    finally:
        _LISTENER.hooks.clear()
