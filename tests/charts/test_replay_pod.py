"""The documented pod of `sagactl replay` is the toolbox of this chart, with another image."""

from typing import Final

from tests.charts.rendering import UMBRELLA, named, render
from tests.replay_pod import made

NEXT: Final = "registry.example/team/sagashop/sagactl:next"


def test_it_is_the_toolbox_with_another_image_and_runs_once() -> None:
    toolbox = named(render(UMBRELLA, None, "sagactl.toolbox.enabled=true"), "Deployment", "shop-sagactl")
    template, pod = toolbox["spec"]["template"], made(toolbox, NEXT)
    assert (pod["kind"], pod["metadata"]["labels"]) == ("Pod", template["metadata"]["labels"])
    (container,) = pod["spec"].pop("containers")
    (before,) = template["spec"].pop("containers")
    assert container == before | {"image": NEXT, "command": ["sagactl", "replay"]}
    assert pod["spec"] == template["spec"] | {"restartPolicy": "Never"}
    # No ReplicaSet takes it for one of its own: theirs have one label more.
    assert "pod-template-hash" not in pod["metadata"]["labels"]
