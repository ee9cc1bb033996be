"""What a test does at the moment when a command is about to go to the database.

Listeners are given to clients when these are made, so there is one for all, and a hook that tests set.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from pymongo import monitoring


class _Listener(monitoring.CommandListener):
    def __init__(self) -> None:
        self.hooks: dict[str, Callable[[], None]] = {}

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        if do := self.hooks.pop(event.command_name, None):
            do()

    def succeeded(self, _event: monitoring.CommandSucceededEvent) -> None:
        """Nothing waits for answers."""

    def failed(self, _event: monitoring.CommandFailedEvent) -> None:
        """Nothing waits for failures."""


_LISTENER: Final = _Listener()
monitoring.register(_LISTENER)


def before_next(command: str, do: Callable[[], None]) -> None:
    """Once."""
    _LISTENER.hooks[command] = do


@contextmanager
def nothing_left() -> Iterator[None]:
    """Fails where a command was not sent: the test would have tested nothing."""
    try:
        yield
        assert not _LISTENER.hooks, f"never sent: {list(_LISTENER.hooks)}"
    finally:
        _LISTENER.hooks.clear()
