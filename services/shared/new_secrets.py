"""A service starts anew when a Secret that it has read is another one.

Kubernetes replaces the files of a Secret that changes (another password, another server) and restarts nobody,
and a chart cannot know what is in a Secret that somebody else makes. So the process looks at its files, and
ends in good order; the kubelet starts it again. Its replicas do so at different times. With Secrets that it
could not begin with it goes on as it is: otherwise one slip of a hand would take every replica down.
"""

import asyncio
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from services.shared import secret_files
from services.shared.health import Readiness, terminate
from services.shared.secret_files import fingerprint
from services.shared.settings import Settings

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
    # Their fingerprint, not later than when the process read them.
    read: str
    # What a process that begins now would say of its settings; nothing where it could begin.
    wrong: Callable[[], list[str]]
    look: float = LOOK_SECONDS
    spread: float = SPREAD_SECONDS
    drain: float = DRAIN_SECONDS
    end: Callable[[], None] = terminate
    draining: bool = False

    @classmethod
    def of_process(cls, settings: Settings) -> "Renewal | None":
        """Of SECRETS_DIR, which the settings were read from; None without one."""
        folder = secret_files.folder()
        if folder is None:
            return None
        return cls(folder, settings.secrets_read or fingerprint(folder), settings.wrong_now)

    async def watch(self) -> None:
        """Return when the process has been told to end."""
        refused = ""
        while True:
            found = await self._others()
            if found == refused:
                continue
            if sentences := await asyncio.to_thread(self.wrong):
                refused = found
                said = "; ".join(sentences)
                log.error(
                    "the Secrets in %s are others now, and wrong, so this goes on: %s", self.folder, said
                )
                continue
            await asyncio.sleep(random.uniform(0, self.spread))  # noqa: S311 - no secret
            if await self._fingerprint() == found:
                break
        log.warning("the Secrets in %s are others now: starting anew with them", self.folder)
        self.draining = True
        await asyncio.sleep(self.drain)
        self.end()

    def of(self, readiness: Readiness) -> Readiness:
        """What to say of the readiness: no more once the end is near."""
        return Readiness(ready=False, detail="starting anew") if self.draining else readiness

    async def _others(self) -> str:
        """The fingerprint of the next files that are others than those that were read.

        Twice the same: nobody is writing any more, and nobody changed it back.
        """
        before = self.read
        while True:
            now = await self._fingerprint()
            if now == before != self.read:
                return now
            before = now
            await asyncio.sleep(self.look)

    async def _fingerprint(self) -> str:
        return await asyncio.to_thread(fingerprint, self.folder)
