"""The code of another version, out of this clone's history."""

import io
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Final

from dev.services import REPOSITORY

# What a service runs of; the packages that it imports are those that are installed.
CODE: Final = "services"


class NoSuchVersionError(Exception):
    """The clone does not have it."""


def unpacked(commit: str, folder: Path, repository: Path = REPOSITORY, *, part: str = CODE) -> Path:
    """A directory with that part of that commit, below the folder, called by the commit's short name.

    Raises NoSuchVersionError.
    """
    try:
        name = (
            _git(repository, "rev-parse", "--short", "--verify", "--end-of-options", f"{commit}^{{commit}}")
            .decode()
            .strip()
        )
        archive = _git(repository, "archive", name, part)
    except (OSError, subprocess.CalledProcessError) as error:
        said = error.stderr.decode().strip() if isinstance(error, subprocess.CalledProcessError) else error
        raise NoSuchVersionError(
            f"{commit} is no commit of this clone that has {part}/ ({said}): git fetch --unshallow --tags"
        ) from error
    tree = folder / name
    shutil.rmtree(tree, ignore_errors=True)
    with tarfile.open(fileobj=io.BytesIO(archive)) as code:
        code.extractall(tree, filter="data")
    return tree


def _git(repository: Path, *arguments: str) -> bytes:
    command = ["git", "-C", str(repository), *arguments]
    return subprocess.run(command, check=True, capture_output=True).stdout  # noqa: S603  # our own words
