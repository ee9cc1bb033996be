"""Renders charts with the real helm, and finds things in what comes out."""

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from dev.helm import ROOT, run_helm
from dev.services import NAMES as STACK

CHARTS = ROOT / "charts"
UMBRELLA = CHARTS / "sagashop"
RELEASE, NAMESPACE = "shop", "market"
SERVICES = tuple(sorted(STACK))
# Pods with sagactl in them, but for those that a clock starts.
TOOLS = {"shop-smoke", "shop-sagactl", "shop-load", "shop-faults", "shop-verdict"}
# What has to be said even where all is as it comes.
DEFAULT = UMBRELLA / "ci/default-values.yaml"
GITOPS = UMBRELLA / "ci/gitops-values.yaml"
LOAD = UMBRELLA / "ci/load-values.yaml"
# What a user may render: each chart by itself, and the umbrella with every set of values that we name.
VALUES = sorted([*UMBRELLA.glob("ci/*-values.yaml"), *ROOT.glob("k8s/values/*.yaml")])
ALONE = sorted(
    file.parent for file in CHARTS.glob("*/templates/") if file.parent.name not in {"service", "sagashop"}
)
CASES = [*((UMBRELLA, file) for file in VALUES), *((chart, None) for chart in ALONE)]
NAMES = [file.stem if file else chart.name for chart, file in CASES]


@functools.cache
def render(chart: Path, values: Path | None = None, *settings: str) -> tuple[dict[str, Any], ...]:
    """Render to objects; the umbrella without values as it comes. `settings` are as for --set."""
    if values is None and chart == UMBRELLA:
        values = DEFAULT
    given: list[str | Path] = ["--values", values] if values else []
    for setting in settings:
        given += ["--set", setting]
    text = run_helm(
        "template",
        RELEASE,
        chart,
        "--namespace",
        NAMESPACE,
        "--include-crds",
        "--kube-version",
        "1.34.0",
        *given,
    )
    return tuple(found for found in yaml.load_all(text, yaml.CSafeLoader) if found)


def notes(*settings: str, values: Path = DEFAULT) -> str:
    """What an installation of the umbrella says at its end."""
    given = [f"--set={setting}" for setting in settings]
    dry = ("--dry-run=client", "--namespace", NAMESPACE, "--values", values)
    return run_helm("install", RELEASE, UMBRELLA, *dry, *given).partition("NOTES:")[2]


def of_kind(objects: tuple[dict[str, Any], ...], *kinds: str) -> list[dict[str, Any]]:
    return [found for found in objects if found["kind"] in kinds]


def named(objects: tuple[dict[str, Any], ...], kind: str, name: str) -> dict[str, Any]:
    [found] = [one for one in of_kind(objects, kind) if one["metadata"]["name"] == name]
    return found


def pods(objects: tuple[dict[str, Any], ...]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every pod that would run, tests and hooks too: (kind/name of its owner, {metadata, spec})."""
    for owner in of_kind(objects, "Deployment", "StatefulSet", "Pod"):
        pod = owner if owner["kind"] == "Pod" else owner["spec"]["template"]
        yield f"{owner['kind']}/{owner['metadata']['name']}", pod


def containers(pod: dict[str, Any]) -> list[dict[str, Any]]:
    return [*pod["spec"].get("initContainers", ()), *pod["spec"]["containers"]]


def environment(pod: dict[str, Any]) -> dict[str, Any]:
    [container] = pod["spec"]["containers"]
    return {entry["name"]: entry.get("value", entry.get("valueFrom")) for entry in container.get("env", ())}


def selects(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    wanted: dict[str, str] = selector.get("matchLabels", {})
    return wanted.items() <= labels.items()
