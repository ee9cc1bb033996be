"""A program runs in a terminal that only a camera looks at: what its screen shows, and from when on."""

import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Final, NamedTuple, TypeAlias

import pyte
from pyte.screens import Char

# Longer than a live table takes to be drawn, shorter than what the eye would miss.
EXPOSURE_SECONDS: Final = 0.1
CHUNK: Final = 65_536
# A spinner turns while nothing happens. It is filmed standing still, so that the waiting can be cut.
SPINNER: Final = dict.fromkeys(range(0x2801, 0x2900), "\N{BRAILLE PATTERN DOTS-123456}")


class Run(NamedTuple):
    """Characters of one look, side by side."""

    column: int
    text: str
    colour: str
    bold: bool


Row: TypeAlias = tuple[Run, ...]


class Picture(NamedTuple):
    """A screen, and since how many seconds after the start it has looked so."""

    at: float
    rows: tuple[Row, ...]


class RecordingError(RuntimeError):
    """The program did not end well, so there is nothing to show."""


def film(command: Sequence[str], columns: int, rows: int) -> list[Picture]:
    """Every picture that differs from the one before. Raises RecordingError where the program fails."""
    screen = pyte.Screen(columns, rows)
    stream = pyte.ByteStream(screen)
    pictures: list[Picture] = []
    began = time.monotonic()
    for output in _outputs(command, columns, rows):
        stream.feed(output)
        seen = tuple(_row(screen, number) for number in range(rows))
        if not pictures or seen != pictures[-1].rows:
            pictures.append(Picture(time.monotonic() - began, seen))
    return pictures


def _outputs(command: Sequence[str], columns: int, rows: int) -> Iterator[bytes]:
    """What the command prints, an exposure's worth at a time."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": str(columns), "LINES": str(rows)}
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment)  # noqa: S603  # our own
    os.close(theirs)
    with os.fdopen(ours, "rb", buffering=0) as terminal:
        while output := _exposed(terminal.fileno()):
            yield output
    if process.wait() != 0:
        raise RecordingError(f"{' '.join(command)} ended with exit code {process.returncode}")


def _exposed(terminal: int) -> bytes:
    """All output from the first byte on until the exposure ends; nothing at the end of it all."""
    output = _read(terminal)
    end = time.monotonic() + EXPOSURE_SECONDS
    while output and (left := end - time.monotonic()) > 0:
        if select.select([terminal], [], [], left)[0]:
            more = _read(terminal)
            if not more:
                break
            output += more
    return output


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, CHUNK)
    except OSError:  # Linux says so when the last process has closed it
        return b""


def _row(screen: pyte.Screen, number: int) -> Row:
    """The row's text in runs of one look, without the space at its end."""
    cells = [screen.buffer[number][column] for column in range(screen.columns)]
    while cells and cells[-1].data == " ":
        cells.pop()
    runs: list[Run] = []
    column = 0
    for (colour, bold), group in groupby(cells, key=_look):
        text = "".join(cell.data for cell in group).translate(SPINNER)
        if text.strip():
            runs.append(Run(column, text.rstrip(), colour, bold))
        column += len(text)
    return tuple(runs)


def _look(cell: Char) -> tuple[str, bool]:
    return cell.fg, cell.bold
