"""Films a command and writes the README's picture: `python -m dev.recording FILE TITLE COMMAND...`."""

import sys
from collections.abc import Sequence
from pathlib import Path

from dev.recording.camera import film
from dev.recording.projector import svg

COLUMNS, ROWS = 100, 30


def record(file: Path, title: str, command: Sequence[str]) -> None:
    """No larger than what was seen. Raises RecordingError where the command fails."""
    pictures = film(command, COLUMNS, ROWS)
    lowest = max(line for picture in pictures for line, row in enumerate(picture.rows) if row)
    file.write_text(svg(pictures, COLUMNS, lowest + 1, title))


if __name__ == "__main__":
    record(Path(sys.argv[1]), sys.argv[2], sys.argv[3:])
