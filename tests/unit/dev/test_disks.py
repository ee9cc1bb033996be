"""A disk that is full takes nothing more, until there is room again."""

import subprocess
import sys
from pathlib import Path

import pytest

from dev.faults import disks
from dev.faults.disks import CannotMountError
from dev.services import REPOSITORY

# Runs itself anew as `make chaos` does, by the module that it is.
WRITES = """
import errno, sys
from pathlib import Path
from dev.faults.disks import Disks, with_own_mounts
with_own_mounts("writes")
disks = Disks(Path(sys.argv[1]), {"mongodb-2": 2**20})
disks.mount()
file = Path(sys.argv[1]) / "mongodb" / "data-2" / "file"
file.write_bytes(bytes(100_000))
disks.fill("mongodb-2")
try:
    file.with_name("another").write_bytes(bytes(100_000))
except OSError as error:
    print(errno.errorcode[error.errno])
disks.free("mongodb-2")
print(file.with_name("another").write_bytes(bytes(100_000)))
"""


def test_a_disk_that_is_full_takes_nothing_more_and_nobody_else_sees_it(tmp_path: Path) -> None:
    (tmp_path / "writes.py").write_text(WRITES)
    ended = subprocess.run(  # noqa: S603  # our own words
        [sys.executable, "-m", "writes", str(tmp_path)],
        env={"PYTHONPATH": f"{tmp_path}:{REPOSITORY}", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
        check=False,
        capture_output=True,
        text=True,
    )
    assert (ended.stdout, ended.returncode) == ("ENOSPC\n100000\n", 0), ended.stderr
    assert not [*(tmp_path / "mongodb" / "data-2").iterdir()]


def test_who_may_mount_nothing_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(command: list[str], **_: object) -> subprocess.CompletedProcess[bytes]:
        return subprocess.CompletedProcess(command, 1, b"", b"unshare failed: Operation not permitted\n")

    monkeypatch.setattr(subprocess, "run", refused)
    with pytest.raises(CannotMountError, match="not permitted; run it as root, or"):
        disks.with_own_mounts("dev.chaos")
