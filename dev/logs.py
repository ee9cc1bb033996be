"""Follows every process's log at once, each line under its process's name and colour."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

POLL_SECONDS = 0.2
IMPLIED = ("timestamp", "service")
COLOURS = ("cyan", "green", "yellow", "magenta", "blue", "bright_red", "bright_cyan", "bright_green")


class Follower:
    def __init__(self, directory: Path, console: Console, *, names: tuple[str, ...] = ()) -> None:
        self._directory = directory
        self._console = console
        self._names = names
        self._read: dict[Path, int] = {}

    async def forever(self) -> None:
        while True:
            for path in sorted(self._directory.glob("*.log")):
                if not self._names or path.stem in self._names:
                    self._show(path)
            await asyncio.sleep(POLL_SECONDS)

    def _show(self, path: Path) -> None:
        colour = COLOURS[hash(path.stem.partition("-")[0]) % len(COLOURS)]
        for line in self._new_lines(path):
            self._console.print(Text(f"{path.stem:>14} ", style=colour) + _readable(line), soft_wrap=True)

    def _new_lines(self, path: Path) -> Iterator[str]:
        with path.open("rb") as log:
            log.seek(self._read.get(path, 0))
            for line in log:
                if not line.endswith(b"\n"):
                    break  # still being written
                self._read[path] = self._read.get(path, 0) + len(line)
                yield line.decode(errors="replace").rstrip()


def _readable(line: str) -> Text:
    """Show a structured line as its message and fields, any other line as it is."""
    try:
        record = json.loads(line)
    except ValueError:
        return Text(line)
    return _structured(record) if isinstance(record, dict) and "message" in record else Text(line)


def _structured(record: dict[str, Any]) -> Text:
    level, message = record.pop("level", "info"), record.pop("message")
    fields = " ".join(f"{name}={value}" for name, value in record.items() if name not in IMPLIED)
    style = {"warning": "yellow", "error": "red", "critical": "bold red"}.get(level, "")
    return Text(f"{message} ", style=style) + Text(fields, style="dim")
