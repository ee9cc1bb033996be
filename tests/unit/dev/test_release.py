"""The version stands in one way everywhere, and one command changes it."""

import re
import shutil
import subprocess
from datetime import date
from pathlib import Path

import pytest

from dev.contract.contract import contract
from dev.contract.files import released
from dev.helm import ROOT
from dev.release import UNRELEASED, ReleaseError, current, main, notes, places, prepare, versions

TODAY = date(2026, 11, 30)
# Where others' versions are, and where a release of the past is told of.
NOT_LOOKED_AT = ("CHANGELOG.md", "uv.lock", "go.mod", "go.sum", "tests/unit/dev/test_release.py")


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """The files that name the version, and the changelog, with something in it that is unreleased."""
    for file in {file for file, _ in places()} | {ROOT / "CHANGELOG.md"}:
        there = tmp_path / file.relative_to(ROOT)
        there.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, there)
    add_a_change(tmp_path)
    return tmp_path


def add_a_change(root: Path) -> None:
    changelog = root / "CHANGELOG.md"
    changelog.write_text(changelog.read_text().replace(UNRELEASED, f"{UNRELEASED}\n- A change.\n\n", 1))


def test_there_is_one_version_and_every_place_has_it() -> None:
    assert len(versions()) == 1, versions()
    for file, pattern in places():
        library = file.parent.name == "service"  # runs nothing and depends on nothing
        assert library or pattern.search(file.read_text()), (file, pattern.pattern)


def test_no_other_file_names_an_image_of_ours_by_its_version() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)  # noqa: S607
    known = {file.relative_to(ROOT).as_posix() for file, _ in places()}
    for name in listed.stdout.splitlines():
        if name.endswith((".gz", ".png", *NOT_LOOKED_AT)) or name in known or not (ROOT / name).is_file():
            continue
        found = re.findall(r"sagashop/[a-z]+:\d+\.\d+\.\d+", (ROOT / name).read_text())
        assert found == [], name


def test_a_release_writes_its_version_everywhere_and_what_was_unreleased_becomes_its_own(
    copied: Path,
) -> None:
    told = notes("Unreleased", copied)
    written = prepare("41.0.0", TODAY, copied)
    assert current(copied) == "41.0.0"
    assert {file.relative_to(copied) for file in written} >= {Path("pyproject.toml"), Path("uv.lock")}
    assert released(copied)["41.0.0"] == contract()
    assert notes("41.0.0", copied) == told
    changelog = (copied / "CHANGELOG.md").read_text()
    assert "## [Unreleased]\n\n## [41.0.0] - 2026-11-30\n" in changelog
    with pytest.raises(ReleaseError, match="says nothing of Unreleased"):
        prepare("42.0.0", TODAY, copied)


def test_a_release_leaves_versions_of_others_alone(copied: Path) -> None:
    def of_others() -> list[str]:
        return [
            line
            for name in ("mongodb", "rabbitmq", "redis", "jaeger")
            for line in (copied / f"charts/{name}/Chart.yaml").read_text().splitlines()
            if line.startswith("appVersion")
        ]

    before = of_others()
    prepare("41.0.0", TODAY, copied)
    assert of_others() == before


@pytest.mark.parametrize(
    ("version", "complaint"),
    [("0.0.1", "does not come after"), ("v41.0.0", "is not a version"), ("41.0", "is not a version")],
)
def test_what_cannot_be_released_changes_nothing(copied: Path, version: str, complaint: str) -> None:
    before = (copied / "pyproject.toml").read_text(), (copied / "CHANGELOG.md").read_text()
    with pytest.raises(ReleaseError, match=complaint):
        prepare(version, TODAY, copied)
    assert ((copied / "pyproject.toml").read_text(), (copied / "CHANGELOG.md").read_text()) == before


def test_a_candidate_comes_before_its_release(copied: Path) -> None:
    for version in ("41.0.0-beta", "41.0.0-rc.1", "41.0.0-rc.2", "41.0.0-rc.10", "41.0.0"):
        prepare(version, TODAY, copied)
        add_a_change(copied)
        with pytest.raises(ReleaseError, match="does not come after"):
            prepare(version, TODAY, copied)
    assert notes("41.0.0", copied) == "- A change."


def test_the_version_is_told_to_the_workflow() -> None:
    assert f'version = "{main(["version"])}"' in (ROOT / "pyproject.toml").read_text()
