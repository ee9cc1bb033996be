"""What happened in a run, for people: nothing is written down unless somebody wants to read it."""

import asyncio
from typing import Final

from dev.simulate.clock import BEGINNING

WHO_WIDTH: Final = 16


class History:
    def __init__(self, *, kept: bool) -> None:
        self.kept = kept
        self.lines: list[str] = []

    def note(self, who: str, what: str) -> None:
        if self.kept:
            now = asyncio.get_running_loop().time() - BEGINNING
            self.lines.append(f"{now:10.3f}  {who:<{WHO_WIDTH}}  {what}")
