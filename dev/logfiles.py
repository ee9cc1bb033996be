"""Log files of local processes: kept from run to run, with a line where one begins, and never large."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

# Of one process: half of it is kept beside the file when it is full.
LIMIT_BYTES = 8_000_000
KEPT_BYTES = LIMIT_BYTES // 2
RUN_BEGINS = "a new run begins"


def begin(path: Path) -> None:
    """Mark in the log that a new run of its process begins; what earlier runs wrote stays."""
    if path.exists():
        bound(path)
    note(path, f"===== {RUN_BEGINS} =====")


def note(path: Path, message: str, level: str = "info") -> None:
    """A line of our own in a process's log, of the form that the services' have."""
    path.parent.mkdir(parents=True, exist_ok=True)
    timestamp = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    record = {"timestamp": timestamp, "level": level, "message": message, "service": path.stem}
    with path.open("a") as log:
        log.write(json.dumps(record) + "\n")


def bound(path: Path, limit: int = LIMIT_BYTES, kept: int = KEPT_BYTES) -> None:
    """Where the log is longer than `limit` bytes, move its last `kept` bytes to <name>.log.1, and empty it.

    Its process goes on appending, from the beginning. What it writes in the instant between copying and
    emptying is lost.
    """
    if path.stat().st_size <= limit:
        return
    with path.open("rb+") as log:
        log.seek(-kept, 2)
        log.readline()  # the rest of a line
        path.with_name(f"{path.name}.1").write_bytes(log.read())
        log.truncate(0)


def last_run(path: Path) -> Iterator[str]:
    """The lines that the last run of the process wrote."""
    lines = path.read_text(errors="replace").splitlines()
    begins = [number for number, line in enumerate(lines) if RUN_BEGINS in line]
    yield from lines[begins[-1] + 1 :] if begins else lines
