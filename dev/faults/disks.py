"""File systems that get full: each holds a server's data, lives in memory, and is as large as it is told.

Only who may mount can have one. So the command that wants them goes on in a mount namespace of its own, which
nobody else sees, and which is gone with all that is mounted there when the last of its processes has ended.
"""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from dev.servers import data_folder
from dev.services import unnumbered

# What is written between a look and a mount makes the size that was seen too small.
ATTEMPTS: Final = 20
# Name of an environment variable.
OWN_MOUNTS: Final = "OWN_MOUNTS"


class CannotMountError(Exception):
    """The user may mount nothing on this machine, not even in a namespace of its own."""


def with_own_mounts(module: str) -> None:
    """Runs this command, `python -m MODULE ...`, anew where it may mount. Returns there.

    Raises CannotMountError.
    """
    if os.environ.pop(OWN_MOUNTS, None):
        return
    unshare = ["unshare", "--mount", *(["--map-root-user"] if os.geteuid() else [])]
    trial = [*unshare, "mount", "-t", "tmpfs", "none", "/mnt"]
    tried = subprocess.run(trial, check=False, capture_output=True)  # noqa: S603  # our own words
    if tried.returncode:
        raise CannotMountError(
            f"disks that get full need a mount namespace of their own: {tried.stderr.decode().strip()}; "
            "run it as root, or allow unprivileged user namespaces"
        )
    sys.stdout.flush()
    command = [*unshare, sys.executable, "-m", module, *sys.argv[1:]]
    os.execvpe(command[0], command, {**os.environ, OWN_MOUNTS: "true"})  # noqa: S606  # our own words


class Disks(NamedTuple):
    """Of servers of the stack in the directory."""

    directory: Path
    # In bytes, by the names of their programs.
    sizes: Mapping[str, int]

    def mount(self) -> None:
        """Empty ones, before the servers start. What is not written takes no memory."""
        for program, size in self.sizes.items():
            path = self._path(program)
            path.mkdir(parents=True, exist_ok=True)
            _run("mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "none", str(path))

    def fill(self, program: str, leaving: int = 0) -> None:
        """So many bytes more fit in from now on."""
        for attempt in range(ATTEMPTS):
            try:
                self._resize(program, self._used(program) + leaving)
            except subprocess.CalledProcessError:
                if attempt == ATTEMPTS - 1:
                    raise
            else:
                return

    def free(self, program: str) -> None:
        self._resize(program, self.sizes[program])

    def _resize(self, program: str, size: int) -> None:
        _run("mount", "-o", f"remount,size={size}", str(self._path(program)))

    def _used(self, program: str) -> int:
        seen = os.statvfs(self._path(program))
        return (seen.f_blocks - seen.f_bfree) * seen.f_frsize

    def _path(self, program: str) -> Path:
        return self.directory / unnumbered(program) / data_folder(program)


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)  # noqa: S603  # our own words
