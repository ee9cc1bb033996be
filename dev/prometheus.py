"""Prometheus' programs: those on the path, else Debian's, unpacked into the cache. Nothing is installed."""

import fcntl
import functools
import os
import shlex
import shutil
import subprocess
import tempfile
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


def server(name: str) -> list[str]:
    """The command that runs `prometheus` or `prometheus-alertmanager`. Raises NotThereError.

    Debian's read files of theirs below /usr/share. Those from the cache see a /usr/share that has them, in a
    mount namespace of their own.
    """
    if found := shutil.which(name):
        return [found]
    folder = _unpacked()
    layers = shlex.quote(f"lowerdir={folder / 'usr/share'}:/usr/share")
    script = f'mount -t overlay overlay -o {layers} /usr/share && exec "$0" "$@"'
    return ["unshare", "--map-root-user", "--mount", "sh", "-c", script, str(folder / "usr/bin" / name)]


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
        try:
            _apt_get(folder, "download", *PACKAGES)
        except subprocess.CalledProcessError:  # the machine has no package lists, or old ones
            with tempfile.TemporaryDirectory() as lists:
                own = _own_lists(Path(lists))
                _apt_get(folder, *own, "update")
                _apt_get(folder, *own, "download", *PACKAGES)
        for package in folder.glob("*.deb"):
            subprocess.run(["dpkg", "-x", package, folder], check=True, capture_output=True)  # noqa: S603, S607  # our own names; wherever dpkg is
            package.unlink()
    except (OSError, subprocess.CalledProcessError) as error:
        said = error.stderr.decode() if isinstance(error, subprocess.CalledProcessError) else str(error)
        raise NotThereError(f"put Prometheus on the path: it cannot be fetched with apt: {said}") from error


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
