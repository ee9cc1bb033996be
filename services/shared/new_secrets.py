"""A service starts anew when a Secret that it has read is another one.

Kubernetes replaces the files of a Secret that changes (another password, another server) and restarts nobody,
and a chart cannot know what is in a Secret that somebody else makes. So the process looks at its files, and
ends in good order; the kubelet starts it again. Its replicas do so at different times.
"""

import asyncio
import hashlib
import logging
import os
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from services.shared.health import Readiness, terminate

LOOK_SECONDS: Final = 5.0
SPREAD_SECONDS: Final = 30.0
"""Seconds over which the replicas spread their restarts."""
DRAIN_SECONDS: Final = 7.0
"""Seconds of saying "not ready" before the end: longer than two readiness probes take."""
log = logging.getLogger(__name__)


@dataclass
class Renewal:
    """Ends the process after the files of `folder` have changed. `end` ends it."""

    folder: Path
    look: float = LOOK_SECONDS
    spread: float = SPREAD_SECONDS
    drain: float = DRAIN_SECONDS
    end: Callable[[], None] = terminate
    draining: bool = False

    @classmethod
    def of_environment(cls) -> "Renewal | None":
        """Of SECRETS_DIR; None without one."""
        folder = os.environ.get("SECRETS_DIR")
        return cls(Path(folder)) if folder else None

    async def watch(self) -> None:
        """Return when the process has been told to end."""
        read = await asyncio.to_thread(fingerprint, self.folder)
        while not await self._is_another(read):
            await asyncio.sleep(self.look)
        await asyncio.sleep(random.uniform(0, self.spread))  # noqa: S311 - no secret
        log.warning("the Secrets in %s are others now: starting anew with them", self.folder)
        self.draining = True
        await asyncio.sleep(self.drain)
        self.end()

    def of(self, readiness: Readiness) -> Readiness:
        """What to say of the readiness: no more once the end is near."""
        return Readiness(ready=False, detail="starting anew") if self.draining else readiness

    async def _is_another(self, read: str) -> bool:
        """Twice the same and not what was read: nobody is writing any more, and nobody changed it back."""
        now = await asyncio.to_thread(fingerprint, self.folder)
        if now == read:
            return False
        await asyncio.sleep(self.look)
        return await asyncio.to_thread(fingerprint, self.folder) == now


def fingerprint(folder: Path) -> str:
    """Digest of the names and contents of the files. One that cannot be read counts as empty."""
    digest = hashlib.sha256()
    for file in sorted(folder.glob("[!.]*")):
        digest.update(f"{file.name}\n{_content(file)}\n".encode())
    return digest.hexdigest()


def _content(file: Path) -> str:
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError:  # it is being replaced, and read again after a while
        return ""
