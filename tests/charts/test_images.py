"""k8s/images.sh on other people's machines: any docker, the bash and the tools of macOS."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from dev.helm import ROOT
from dev.release import current
from dev.supply_chain import IMAGES

DOCKER = """#!/bin/sh
echo "${{DOCKER_HOST:-the context's}} BuildKit=${{DOCKER_BUILDKIT:-}} $*" >>{log}
echo "${{REGISTRY:-}} ${{VERSION:-}}" >>{log}.bake
[ "$1" != build ] || ls >>{log}.built
case "$1" in
version) exit {works} ;;
image) echo 123000000 ;;
esac
"""
KIND = """#!/bin/sh
echo "kind $*" >>{log}
[ "$1" != get ] || echo sagashop
"""
# What bash 3.2 and BSD tools do not know, they refuse.
OLD = """
shopt() { echo "shopt: $*: invalid shell option name" >&2; return 1; }
mapfile() { echo "mapfile: command not found" >&2; return 127; }
date() { echo "no GNU date" >&2; return 1; }
"""


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


def images(
    tmp_path: Path, log: Path, *services: str, works: bool = True, push: str = "", commit: str = ""
) -> "subprocess.CompletedProcess[str]":
    """Run it with stubs for docker and kind, first on the path."""
    programs = tmp_path / "programs"
    programs.mkdir()
    for name, text in (
        ("docker", DOCKER.format(log=log, works=0 if works else 1)),
        ("kind", KIND.format(log=log)),
    ):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    (tmp_path / "old.sh").write_text(OLD)
    surroundings = {name: value for name, value in os.environ.items() if name != "DOCKER_HOST"}
    return subprocess.run(  # noqa: S603 - our own script
        [ROOT / "k8s/images.sh", *services],
        env={
            **surroundings,
            "PATH": f"{programs}:{os.environ['PATH']}",
            "CONTAINERD_SOCKET": "/nowhere",
            "PUSH": push,
            "COMMIT": commit,
            "BASH_ENV": str(tmp_path / "old.sh"),
        },
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_docker_that_is_there_builds_wherever_it_is_and_kind_gets_the_images(
    tmp_path: Path, log: Path
) -> None:
    done = images(tmp_path, log, "order", "sagactl")
    assert done.returncode == 0, done.stderr
    lines = log.read_text().splitlines()
    calls = [line for line in lines if not line.startswith("kind")]
    assert all(line.startswith("the context's ") for line in calls)
    builds = [line for line in calls if " build " in line]
    assert len(builds) == 2
    for line in builds:
        assert "BuildKit=1" in line
        assert "--network" not in line  # a builder of another kind refuses the host's
    assert "SERVICE=order" in builds[0]
    loaded = " ".join(f"sagashop/{name}:{current()}" for name in ("order", "sagactl"))
    assert lines[-1] == f"kind load docker-image --name sagashop {loaded}"
    assert [line.split()[:2] for line in done.stdout.splitlines()[1:]] == [
        ["order", "123"],
        ["sagactl", "123"],
    ]


def git(*command: str) -> list[str]:
    done = subprocess.run(["git", "-C", ROOT, *command], capture_output=True, text=True, check=True)  # noqa: S603, S607 - our own repository
    return done.stdout.split()


def test_another_version_is_built_of_its_own_code_and_has_its_commits_name(tmp_path: Path, log: Path) -> None:
    """As `sagactl replay` of the next version is, before that is rolled out."""
    [commit, *_] = git("rev-list", "--max-parents=0", "HEAD")
    done = images(tmp_path, log, "order", commit=commit)
    assert done.returncode == 0, done.stderr
    [build] = [line for line in log.read_text().splitlines() if " build " in line]
    [tag] = re.findall(r"--tag sagashop/order:(\w+) ", build)
    assert commit.startswith(tag)
    assert f"VERSION={tag}" in build
    there = {name for name in git("ls-tree", "--name-only", commit) if not name.startswith(".")}
    assert {*log.with_name("log.built").read_text().split()} == there


def test_help_needs_no_docker(tmp_path: Path, log: Path) -> None:
    done = images(tmp_path, log, "--help", works=False)
    assert done.returncode == 0
    assert "usage: images.sh" in done.stdout
    assert not log.exists()


def test_images_are_pushed_with_buildx_to_the_registry_that_was_named(tmp_path: Path, log: Path) -> None:
    done = images(tmp_path, log, "order", push="registry.example/team/")
    assert done.returncode == 0, done.stderr
    [call] = log.read_text().splitlines()
    digests = ROOT / ".run/images.json"
    options = f"buildx bake --file docker-bake.hcl --push --metadata-file {digests} order"
    assert call.endswith(options)
    assert log.with_name("log.bake").read_text().split() == ["registry.example/team", current()]


def test_what_is_pushed_is_all_that_the_sbom_knows_under_the_names_of_the_charts() -> None:
    bake = (ROOT / "docker-bake.hcl").read_text()
    [services] = re.findall(r"service = \[(.+)\]", bake)
    assert re.findall(r'"([a-z]+)"', services) == sorted(IMAGES)
    assert '"${REGISTRY}/sagashop/${service}:${VERSION}"' in bake


@pytest.mark.parametrize(
    ("answer", "status", "line"),
    [
        (f"sha256:{'a' * 64}", 0, f"ARG BASE_IMAGE=python:3.13-slim@sha256:{'a' * 64}"),
        ("no such host", 1, "ARG BASE_IMAGE=python:3.13-slim@sha256:old"),
        ("", 1, "ARG BASE_IMAGE=python:3.13-slim@sha256:old"),
    ],
    ids=["a digest", "something else", "no answer"],
)
def test_the_base_image_is_named_by_a_digest_that_a_registry_gave_and_by_no_other(
    tmp_path: Path, answer: str, status: int, line: str
) -> None:
    (tmp_path / "k8s").mkdir()
    script = shutil.copy(ROOT / "k8s/pin.sh", tmp_path / "k8s")
    (tmp_path / "Dockerfile").write_text(
        "# A\nARG BASE_IMAGE=python:3.13-slim@sha256:old\nFROM ${BASE_IMAGE}\n"
    )
    docker = tmp_path / "docker"
    docker.write_text(f"#!/bin/sh\necho {answer}\n[ '{answer}' ]\n")
    docker.chmod(0o755)
    done = subprocess.run(  # noqa: S603 - our own script
        [script],
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        check=False,
    )
    assert done.returncode == status
    assert (tmp_path / "Dockerfile").read_text() == f"# A\n{line}\nFROM ${{BASE_IMAGE}}\n"
