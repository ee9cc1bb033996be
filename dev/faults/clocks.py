"""Clocks that step: libfaketime stands between a service and the clock of its machine.

What has passed (the monotonic clock) is told as it is: a step is one of the wall clock alone, as by an
administrator, or by NTP on a machine that had slept.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

from dev.debian import NotThereError, unpacked

PACKAGE: Final = "libfaketime"
LIBRARY: Final = "usr/lib/*/faketime/libfaketime.so.1"
# How long a process goes by what it read of its clock's file (seconds).
READ_EVERY_SECONDS: Final = 1


class Clocks(NamedTuple):
    """How far the clock of each service is off, as files of a directory that is there."""

    directory: Path

    def environment(self, service: str) -> Mapping[str, str]:
        """For a process of the service. Raises NotThereError."""
        self.step(service, 0)
        return {
            "LD_PRELOAD": str(_library()),
            "FAKETIME_TIMESTAMP_FILE": str(self.directory / service),
            "FAKETIME_CACHE_DURATION": str(READ_EVERY_SECONDS),
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def step(self, service: str, seconds: float) -> None:
        """Its clock is so far ahead from now on; behind, where that is negative."""
        scratch = self.directory / f"{service}.new"
        scratch.write_text(f"{seconds:+g}")
        scratch.replace(self.directory / service)


@cache
def _library() -> Path:
    """The machine's, else Debian's."""
    found = next(Path("/").glob(LIBRARY), None) or next(unpacked("faketime", [PACKAGE]).glob(LIBRARY), None)
    if found is None:
        raise NotThereError(f"{PACKAGE} has no {LIBRARY}")
    return found
