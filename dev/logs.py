"""The logs of a stack for people: all its services in one, in the order in which things happened."""

import asyncio
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.text import Text

from dev.errors import StackError
from dev.services import KNOWN
from services.shared.console import render

POLL_SECONDS = 0.2
ORDER_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
SOME_ID = "019ac05d-3a3c-7f6e-9b57-0c7d3c0f8a11"


class NothingThereError(StackError):
    """What is asked for can be in no log."""


class Wanted(NamedTuple):
    """Which lines: of these services or servers (without names: of all services), about this order."""

    names: Sequence[str] = ()
    order: str | None = None

    def has_file(self, path: Path) -> bool:
        """`order-2` is a replica of order."""
        name = path.stem
        return name in self.names or name.partition("-")[0] in (self.names or KNOWN)

    def check(self, directory: Path) -> None:
        """Raises NothingThereError for what can be about no order, and for names of which there is no log."""
        if self.order is not None and not ORDER_ID.fullmatch(self.order):
            raise NothingThereError(f"{self.order!r} is no order's id, such as {SOME_ID}")
        there = {path.stem for path in directory.glob("*.log")}
        known = there | {name.partition("-")[0] for name in there}
        if unknown := [name for name in self.names if name not in known]:
            others = ", ".join(sorted(there)) or "none"
            raise NothingThereError(f"there is no log of {', '.join(unknown)}; there are {others}")

    def has(self, line: str) -> bool:
        return self.order is None or self.order in line


class Entry(NamedTuple):
    # Of the line, or the one before it in its file: a line of a traceback has none of its own.
    timestamp: str
    text: Text


class Reader:
    """Reads what is new in the logs, again and again."""

    def __init__(self, directory: Path, wanted: Wanted, *, colours: bool) -> None:
        self._directory, self._wanted, self._colours = directory, wanted, colours
        self._read: dict[Path, int] = {}
        self._latest: dict[Path, str] = {}

    def new(self) -> list[Text]:
        """By time, over all files."""
        entries = [
            entry
            for path in sorted(self._directory.glob("*.log"))
            if self._wanted.has_file(path)
            for entry in self._entries(path)
        ]
        return [entry.text for entry in sorted(entries, key=lambda entry: entry.timestamp)]

    def _entries(self, path: Path) -> Iterator[Entry]:
        for line in self._new_lines(path):
            record = _record(line)
            self._latest[path] = str(record.get("timestamp", self._latest.get(path, "")))
            if self._wanted.has(line):
                yield Entry(self._latest[path], Text.from_ansi(self._readable(path.stem, record, line)))

    def _new_lines(self, path: Path) -> Iterator[str]:
        with path.open("rb") as log:
            if path.stat().st_size < self._read.get(path, 0):
                self._read[path] = 0  # it was begun anew
            log.seek(self._read.get(path, 0))
            for line in log:
                if not line.endswith(b"\n"):
                    break  # still being written
                self._read[path] = self._read.get(path, 0) + len(line)
                yield line.decode(errors="replace").rstrip()

    def _readable(self, name: str, record: dict[str, Any], line: str) -> str:
        """Any line that is not of ours is shown as it is, under its process's name."""
        told = record | {"service": name} if record else {"service": name, "level": "", "message": line}
        without = frozenset({"order_id"} if self._wanted.order else ())
        return render(told, colours=self._colours, without=without)


def show(directory: Path, console: Console, wanted: Wanted) -> int:
    """Shows what there is, and returns how many lines that was."""
    lines = Reader(directory, wanted, colours=console.is_terminal).new()
    for line in lines:
        console.print(line, soft_wrap=True)
    return len(lines)


async def follow(directory: Path, console: Console, wanted: Wanted) -> None:
    """Shows what there is, and what comes, until it is cancelled."""
    reader = Reader(directory, wanted, colours=console.is_terminal)
    while True:
        for line in reader.new():
            console.print(line, soft_wrap=True)
        await asyncio.sleep(POLL_SECONDS)


def _record(line: str) -> dict[str, Any]:
    """What a structured line says; nothing of any other."""
    try:
        record = json.loads(line)
    except ValueError:
        return {}
    return record if isinstance(record, dict) and "message" in record else {}
