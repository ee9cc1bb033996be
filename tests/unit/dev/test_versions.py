"""Which code runs while a shop is rolled to another version and back."""

import os
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dev.faults.crashes import Crashes
from dev.services import REPOSITORY, Replica
from dev.versions.__main__ import app
from dev.versions.rolling import STAGES, tree_of
from dev.versions.tree import NoSuchVersionError, unpacked

BEFORE = Path("/before")


def trees(number: int) -> list[Path]:
    """What that replica runs, stage after stage."""
    return [tree_of(Replica("order", number, 1), stage, BEFORE) for stage in STAGES]


def test_each_replica_goes_up_and_back_down_and_never_both_at_once() -> None:
    first, second = trees(1), trees(2)
    assert first == [BEFORE, REPOSITORY, REPOSITORY, BEFORE, BEFORE]
    assert second == [BEFORE, BEFORE, REPOSITORY, REPOSITORY, BEFORE]
    for before, after in pairwise(zip(first, second, strict=True)):
        assert sum(one != other for one, other in zip(before, after, strict=True)) == 1


def test_a_replica_runs_the_code_of_its_directory_although_crash_points_are_loaded_before(
    tmp_path: Path,
) -> None:
    order = tmp_path / "services" / "order"
    order.mkdir(parents=True)
    for package in (order, order.parent):
        (package / "__init__.py").touch()
    (order / "main.py").write_text("print('older')")
    program = Replica("order", 1, 1).program({**os.environ, **Crashes(tmp_path).environment}, tmp_path)
    ran = subprocess.run(  # noqa: S603  # our own words
        program.command, env=program.environment, cwd=program.directory, check=True, capture_output=True
    )
    assert ran.stdout == b"older\n"


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """Whose second commit changed a service."""
    repository = tmp_path / "clone"
    main = repository / "services" / "order" / "main.py"
    main.parent.mkdir(parents=True)
    git = ["git", "-C", str(repository), "-c", "user.name=A", "-c", "user.email=a@b.example"]
    subprocess.run(["git", "init", "-q", str(repository)], check=True)  # noqa: S603, S607  # wherever git is
    for text in ("old", "new"):
        main.write_text(text)
        subprocess.run([*git, "add", "."], check=True)  # noqa: S603
        subprocess.run([*git, "commit", "-q", "-m", text], check=True)  # noqa: S603
    return repository


def test_the_code_of_an_older_commit_is_unpacked_whatever_was_there(clone: Path, tmp_path: Path) -> None:
    tree = unpacked("HEAD~1", tmp_path / "code", clone)
    (tree / "services" / "left over").touch()
    assert unpacked("HEAD~1", tmp_path / "code", clone) == tree
    assert (tree / "services" / "order" / "main.py").read_text() == "old"
    assert not (tree / "services" / "left over").exists()


@pytest.mark.parametrize("commit", ["v9.9.9", "HEAD~2", "--all"])
def test_a_version_that_the_clone_does_not_have_is_refused(clone: Path, tmp_path: Path, commit: str) -> None:
    with pytest.raises(NoSuchVersionError, match=f"^{commit} is no commit of this clone"):
        unpacked(commit, tmp_path / "code", clone)


def test_who_names_no_version_is_told_how() -> None:
    said = CliRunner().invoke(app, [""])
    assert (said.exit_code, "BEFORE=" in said.output) == (2, True)
