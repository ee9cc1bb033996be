"""k8s/images.sh on other people's machines: any docker, the bash and the tools of macOS."""

import os
import subprocess
from pathlib import Path

import pytest

from dev.helm import ROOT

DOCKER = """#!/bin/sh
echo "${{DOCKER_HOST:-the context's}} BuildKit=${{DOCKER_BUILDKIT:-}} $*" >>{log}
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
    tmp_path: Path, log: Path, *services: str, works: bool = True
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
    assert lines[-1] == "kind load docker-image --name sagashop sagashop/order:0.1.0 sagashop/sagactl:0.1.0"
    assert [line.split()[:2] for line in done.stdout.splitlines()[1:]] == [
        ["order", "123"],
        ["sagactl", "123"],
    ]


def test_help_needs_no_docker(tmp_path: Path, log: Path) -> None:
    done = images(tmp_path, log, "--help", works=False)
    assert done.returncode == 0
    assert "usage: images.sh" in done.stdout
    assert not log.exists()
