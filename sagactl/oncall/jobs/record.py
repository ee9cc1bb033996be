"""A job's record: a file to which every change is added, and from which it goes on, whatever ended it.

Its first line is the job as it was planned, each further one a change. What was being written when a process
was killed is no whole line, and counts as not written.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import msgspec

from sagactl.faults import AbsentError, WrongError
from sagactl.oncall.jobs.job import Change, Job

SUFFIX: Final = ".jsonl"


class Record:
    """One job, open for changes; nobody else changes it meanwhile."""

    def __init__(self, job: Job, descriptor: int, stop: Path) -> None:
        self.job = job
        self._descriptor, self._stop = descriptor, stop
        # Whatever was wanted of whoever was at it before.
        stop.unlink(missing_ok=True)

    @property
    def is_to_stop(self) -> bool:
        return self._stop.exists()

    async def add(self, *changes: Change) -> None:
        """Is on the disk when this returns."""
        os.write(self._descriptor, b"".join(msgspec.json.encode(each) + b"\n" for each in changes))
        os.fsync(self._descriptor)
        self.job = self.job.after(changes)


@contextmanager
def begun(folder: Path, job: Job) -> Iterator[Record]:
    folder.mkdir(parents=True, exist_ok=True)
    new = os.open(_file(folder, job.id), os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o600)
    with _held(new):
        os.write(new, msgspec.json.encode(job) + b"\n")
        os.fsync(new)
        yield Record(job, new, _stop(folder, job.id))


@contextmanager
def resumed(folder: Path, id_: str) -> Iterator[Record]:
    """Raises AbsentError where there is no such job, WrongError where somebody is at it."""
    read(folder, id_)
    there = os.open(_file(folder, id_), os.O_WRONLY | os.O_APPEND)
    with _held(there):
        # What is no whole line goes, so that the next one begins a line.
        os.ftruncate(there, len(_whole(_file(folder, id_))))
        yield Record(read(folder, id_), there, _stop(folder, id_))


def is_worked_at(folder: Path, id_: str) -> bool:
    """Whether a process is at it, which holds the file. Raises AbsentError where there is no such job."""
    read(folder, id_)
    there = os.open(_file(folder, id_), os.O_RDONLY)
    try:
        with _held(there):
            return False
    except WrongError:
        return True


def stop(folder: Path, id_: str) -> None:
    """Has whoever is at it stop."""
    _stop(folder, id_).touch()


@contextmanager
def _held(descriptor: int) -> Iterator[None]:
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise WrongError("another command works on this job") from None
        yield
    finally:
        os.close(descriptor)


def read(folder: Path, id_: str) -> Job:
    """Raises AbsentError where there is no such job, or it was ended before it had begun."""
    file = _file(folder, id_)
    lines = _whole(file).splitlines() if file.exists() else []
    if not lines:
        raise AbsentError(f"there is no job {id_} in {folder}: see sagactl jobs list")
    planned, *changes = lines
    job = msgspec.json.decode(planned, type=Job)
    return job.after(msgspec.json.decode(each, type=Change) for each in changes)


def ids(folder: Path) -> list[str]:
    """The latest first: they begin with the time."""
    return sorted((file.stem for file in folder.glob(f"*{SUFFIX}")), reverse=True)


def all_(folder: Path) -> Iterator[Job]:
    """The latest first."""
    for id_ in ids(folder):
        with suppress(AbsentError):
            yield read(folder, id_)


def _whole(file: Path) -> bytes:
    """Its whole lines."""
    written = file.read_bytes()
    return written[: written.rfind(b"\n") + 1]


def _stop(folder: Path, id_: str) -> Path:
    return _file(folder, id_).with_suffix(".stop")


def _file(folder: Path, id_: str) -> Path:
    """An id is a name, and leads to no other folder."""
    return folder / f"{Path(id_).name}{SUFFIX}"
