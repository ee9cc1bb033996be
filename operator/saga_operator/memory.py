"""What the operator remembers of each monitor while it runs. It may be lost: the resource is the record."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

SILENCE = 90.0
"""Seconds without a tick that no slow answer explains: two listings and two Kubernetes calls may take 80."""


@dataclass
class Heartbeat:
    """Beats per monitor: whatever ends the ticks of one, or of all, shows."""

    clock: Callable[[], float] = monotonic
    _beats: dict[str, float] = field(default_factory=dict)

    def expect(self, uid: str) -> None:
        self._beats.setdefault(uid, self.clock())

    def beat(self, uid: str) -> None:
        if uid in self._beats:
            self._beats[uid] = self.clock()

    def forget(self, uid: str) -> None:
        self._beats.pop(uid, None)

    def silent(self) -> list[str]:
        now = self.clock()
        return [uid for uid, beat in self._beats.items() if now - beat > SILENCE]

    def __len__(self) -> int:
        return len(self._beats)


@dataclass
class StatusBook:
    """The statuses we wrote, or could not write yet, until the watch shows something newer."""

    _last: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    _unsaved: set[str] = field(default_factory=set)
    _failing: set[str] = field(default_factory=set)

    def latest(self, uid: str, shown: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return ours where the watch lags behind, else what it shows: another operator may have swept."""
        ours = self._last.get(uid)
        return shown if ours is None or _age(shown) > _age(ours) else ours

    def note(self, uid: str, status: Mapping[str, Any]) -> None:
        self._last[uid] = status
        self._unsaved.add(uid)

    def unsaved(self, uid: str) -> Mapping[str, Any] | None:
        return self._last[uid] if uid in self._unsaved else None

    @property
    def behind(self) -> int:
        """How many statuses could not be written yet."""
        return len(self._unsaved)

    def failed(self, uid: str) -> bool:
        """Return whether it is the first failure since the last success: an outage is reported once."""
        first = uid not in self._failing
        self._failing.add(uid)
        return first

    def saved(self, uid: str) -> bool:
        """Return whether it had failed before."""
        had_failed = uid in self._failing
        self._failing.discard(uid)
        self._unsaved.discard(uid)
        return had_failed

    def forget(self, uid: str) -> None:
        self._last.pop(uid, None)
        self._unsaved.discard(uid)
        self._failing.discard(uid)


def _age(status: Mapping[str, Any]) -> tuple[str, int]:
    """Order statuses by time: timestamps of one format compare as text."""
    return status.get("lastSweepTime") or "", status.get("observedGeneration") or 0
