"""Processes that kill themselves (SIGKILL) at the points where it hurts most.

A test arms a point of a service by a file. The process of that service that gets there first takes the file,
and dies. The services know nothing of it, and pay nothing: Python loads `preload/sitecustomize.py` before
them where the environment says so, and what is wrapped there is where the engine meets the world.
"""

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Final, NamedTuple

from dev.services import REPOSITORY

# Names of environment variables.
DIRECTORY: Final = "CRASH_DIR"
PATH: Final = "PYTHONPATH"
# As every service is told it: the name of its database is its own.
SERVICE: Final = "MONGODB_DATABASE"
PRELOAD: Final = Path(__file__).parent / "preload"
# Between what follows a commit and a death before the acknowledgement: long enough for all the rest.
LAST_SECONDS: Final = 1.0


class CrashPoint(StrEnum):
    """Where a process dies."""

    BEFORE_TRANSACTION = "before the transaction"
    # What is written stands in the way of others, until the database ends the transaction.
    BEFORE_COMMIT = "between write and commit"
    AFTER_COMMIT = "after the commit"
    BEFORE_PUBLISHING = "before publishing"
    BEFORE_DELETE = "between publish and delete"
    BEFORE_ACK = "before the acknowledgement"
    # Of what another replica had left.
    AFTER_CLAIM = "between claim and publishing"
    AFTER_COPY = "between the copy for another try and the acknowledgement"
    BEFORE_CAPTURE = "after the intent was stored, before the gateway is asked"
    AFTER_CAPTURE = "after the gateway captured"


# All others are any service's that handles messages.
OF_PAYMENT: Final = frozenset({CrashPoint.BEFORE_CAPTURE, CrashPoint.AFTER_CAPTURE})


class Crashes(NamedTuple):
    """The points that are armed, as files of a directory."""

    directory: Path

    @property
    def environment(self) -> Mapping[str, str]:
        """For the processes that are to die when told to."""
        return {PATH: f"{PRELOAD}:{REPOSITORY}", DIRECTORY: str(self.directory)}

    def arm(self, service: str, point: CrashPoint) -> None:
        """The next process of the service that gets there kills itself, once."""
        self._file(service, point).touch()

    def disarm(self) -> None:
        """Nobody dies any more."""
        for armed in self.directory.iterdir():
            armed.unlink(missing_ok=True)  # somebody may take it now

    def take(self, service: str, point: CrashPoint) -> bool:
        """Whether the caller is the one that has to die now."""
        try:
            self._file(service, point).unlink()
        except FileNotFoundError:
            return False
        return True

    def _file(self, service: str, point: CrashPoint) -> Path:
        return self.directory / f"{service} {point}"
