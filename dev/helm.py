"""Runs the real helm."""

import functools
import os
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[1]
# Go's: a rendering has soon ended, and to look for its garbage as often as usual is a fifth of the work.
SELDOM = {"GOGC": "400"}


class RenderingError(Exception):
    """What helm said."""


@functools.cache
def helm() -> str:
    """Find helm: on the path, else in the cache, where the project's own cluster keeps it."""
    cache = Path(os.environ.get("SAGASHOP_CACHE", Path.home() / ".cache/sagashop"))
    kept = cache / "tools/helm"
    if found := shutil.which("helm"):
        return found
    if not kept.exists():
        subprocess.run([ROOT / "dev/cluster/build.sh", "tools"], check=True)  # noqa: S603 - our own script
    return str(kept)


def run_helm(*arguments: str | Path) -> str:
    """Return what helm printed. Raise RenderingError when it fails."""
    command = [helm(), *arguments]
    environment = {**SELDOM, **os.environ}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: S603 - our own charts
    if done.returncode:
        raise RenderingError(f"{done.stdout}\n{done.stderr}")
    return done.stdout
