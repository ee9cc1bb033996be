"""Prometheus' programs: those on the path, else Debian's, unpacked into the cache. Nothing is installed."""

import fcntl
import functools
import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

PACKAGES: Final = ("prometheus", "prometheus-alertmanager")
# Written last: it marks the folder as complete.
COMPLETE: Final = "complete"


class NotThereError(Exception):
    """The programs are not on this machine, and cannot be fetched."""


@functools.cache
def program(name: str) -> str:
    """Find `promtool`, `prometheus`, `amtool` or `prometheus-alertmanager`. Raises NotThereError."""
    return shutil.which(name) or str(_unpacked() / "usr/bin" / name)


def _unpacked() -> Path:
    cache = Path(os.environ.get("SAGASHOP_CACHE", Path.home() / ".cache/sagashop"))
    folder = cache / "prometheus"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two lanes of tests may want them at once
        if not (folder / COMPLETE).exists():
            _fetch(folder)
            (folder / COMPLETE).touch()
    return folder


def _fetch(folder: Path) -> None:
    """As anybody may: `apt-get download` installs nothing."""
    try:
        subprocess.run(["apt-get", "download", "-q", *PACKAGES], cwd=folder, check=True, capture_output=True)  # noqa: S603, S607  # our own names; wherever apt is
        for package in folder.glob("*.deb"):
            subprocess.run(["dpkg", "-x", package, folder], check=True, capture_output=True)  # noqa: S603, S607  # as above
            package.unlink()
    except (OSError, subprocess.CalledProcessError) as error:
        said = error.stderr.decode() if isinstance(error, subprocess.CalledProcessError) else str(error)
        raise NotThereError(f"put Prometheus on the path: it cannot be fetched with apt: {said}") from error
