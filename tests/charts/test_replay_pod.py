"""The pod in which the next version's sagactl looks at this version's orders, made as the documents say."""

import json
import re
import subprocess
from typing import Any, Final

from dev.helm import ROOT
from tests.charts.rendering import UMBRELLA, named, render

NEXT: Final = "registry.example/team/sagashop/sagactl:next"


def made(toolbox: Any) -> Any:
    text = (ROOT / "docs" / "operations.md").read_text()
    program = re.search(r'jq --arg next "\$NEXT" \'(.+?)\' \|', text, re.DOTALL)
    assert program
    command = ["jq", "--arg", "next", NEXT, program[1]]
    done = subprocess.run(command, input=json.dumps(toolbox), capture_output=True, text=True, check=True)  # noqa: S603  # our own documents
    return json.loads(done.stdout)


def test_it_is_the_toolbox_with_another_image_and_runs_once() -> None:
    toolbox = named(render(UMBRELLA, None, "sagactl.toolbox.enabled=true"), "Deployment", "shop-sagactl")
    template, pod = toolbox["spec"]["template"], made(toolbox)
    assert (pod["kind"], pod["metadata"]["labels"]) == ("Pod", template["metadata"]["labels"])
    (container,) = pod["spec"].pop("containers")
    (before,) = template["spec"].pop("containers")
    assert container == before | {"image": NEXT, "command": ["sagactl", "replay"]}
    assert pod["spec"] == template["spec"] | {"restartPolicy": "Never"}
    # No ReplicaSet takes it for one of its own: theirs have one label more.
    assert "pod-template-hash" not in pod["metadata"]["labels"]
