"""`kubectl sagashop`: the right words to the right pod."""

import os
import subprocess
from pathlib import Path

import pytest

PLUGIN = Path(__file__).parents[2] / "k8s" / "kubectl-sagashop"
SAYS_WHAT_IT_HEARS = """#!/bin/sh
for word; do case "$word" in *" "*) printf "|%s| " "$word" ;; *) printf "%s " "$word" ;; esac; done
"""
IN_THE_TOOLBOX = "exec --stdin deployment/shop-sagactl -- sagactl"


@pytest.mark.parametrize(
    ("words", "release", "said"),
    [
        (["status"], "", f"{IN_THE_TOOLBOX} status"),
        (["-n", "e u", "find", "an order"], "", f"--namespace |e u| {IN_THE_TOOLBOX} find |an order|"),
        (["--namespace=eu", "letters", "list"], "", f"--namespace eu {IN_THE_TOOLBOX} letters list"),
        (["audit", "-n", "3"], "", f"{IN_THE_TOOLBOX} audit -n 3"),
        (["status"], "tea", "exec --stdin deployment/tea-sagactl -- sagactl status"),
    ],
)
def test_it_runs_sagactl_in_the_toolbox(tmp_path: Path, words: list[str], release: str, said: str) -> None:
    kubectl = tmp_path / "kubectl"
    kubectl.write_text(SAYS_WHAT_IT_HEARS)
    kubectl.chmod(0o755)
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "RELEASE": release}
    done = subprocess.run([PLUGIN, *words], env=environment, capture_output=True, text=True, check=True)  # noqa: S603  # our own
    assert done.stdout.strip() == said
