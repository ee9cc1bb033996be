"""Packages of Debian's, unpacked into the cache. Nothing is installed, and nobody has to be root."""

import fcntl
import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

# Written last: it marks the folder as complete.
COMPLETE: Final = "complete"


class NotThereError(Exception):
    """The programs are not on this machine, and cannot be fetched."""


def unpacked(name: str, packages: Sequence[str]) -> Path:
    """The folder of the cache by that name, with what the packages have in it. Raises NotThereError."""
    cache = Path(os.environ.get("SAGASHOP_CACHE", Path.home() / ".cache/sagashop"))
    folder = cache / name
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two lanes of tests may want them at once
        if not (folder / COMPLETE).exists():
            _fetch(folder, packages)
            (folder / COMPLETE).touch()
    return folder


def _fetch(folder: Path, packages: Sequence[str]) -> None:
    """As anybody may: `apt-get download` installs nothing."""
    try:
        try:
            _apt_get(folder, "download", *packages)
        except subprocess.CalledProcessError:  # the machine has no package lists, or old ones
            with tempfile.TemporaryDirectory() as lists:
                own = _own_lists(Path(lists))
                _apt_get(folder, *own, "update")
                _apt_get(folder, *own, "download", *packages)
        for package in folder.glob("*.deb"):
            subprocess.run(["dpkg", "-x", package, folder], check=True, capture_output=True)  # noqa: S603, S607  # our own names; wherever dpkg is
            package.unlink()
    except (OSError, subprocess.CalledProcessError) as error:
        said = error.stderr.decode() if isinstance(error, subprocess.CalledProcessError) else str(error)
        raise NotThereError(
            f"install {', '.join(packages)}: apt-get cannot download what is needed: {said}"
        ) from error


def _apt_get(folder: Path, *arguments: str) -> None:
    subprocess.run(["apt-get", "-q", *arguments], cwd=folder, check=True, capture_output=True)  # noqa: S603, S607  # our own words; wherever apt is


def _own_lists(folder: Path) -> tuple[str, ...]:
    """Options for package lists in a folder of one's own. Root reads there as itself, not as `_apt`."""
    for needed in ("lists/partial", "cache/archives/partial"):
        (folder / needed).mkdir(parents=True)
    return (
        f"--option=Dir::State::lists={folder / 'lists'}",
        f"--option=Dir::Cache={folder / 'cache'}",
        "--option=APT::Sandbox::User=root",
    )
