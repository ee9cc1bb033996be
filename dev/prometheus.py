"""Prometheus' programs: those on the path, else Debian's, unpacked into the cache. Nothing is installed."""

import functools
import shlex
import shutil
from pathlib import Path
from typing import Final

from dev.debian import unpacked

PACKAGES: Final = ("prometheus", "prometheus-alertmanager")


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
    return unpacked("prometheus", PACKAGES)
