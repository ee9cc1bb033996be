"""Renders charts with the real helm, and finds things in what comes out."""

import functools
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
CHARTS = ROOT / "charts"
UMBRELLA = CHARTS / "sagashop"
RELEASE, NAMESPACE = "shop", "market"
SERVICES = ("auth", "gateway", "inventory", "notification", "order", "payment", "product")
# What a user may render: each chart by itself, and the umbrella with every set of values that we name.
VALUES = sorted([*UMBRELLA.glob("ci/*-values.yaml"), *ROOT.glob("k8s/values/*.yaml")])
ALONE = sorted(
    file.parent for file in CHARTS.glob("*/templates/") if file.parent.name not in {"service", "sagashop"}
)
CASES = [*((UMBRELLA, file) for file in VALUES), *((chart, None) for chart in ALONE)]
NAMES = [file.stem if file else chart.name for chart, file in CASES]


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
    command = [helm(), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own charts
    if done.returncode:
        raise RenderingError(f"{done.stdout}\n{done.stderr}")
    return done.stdout


@functools.cache
def render(chart: Path, values: Path | None = None, *settings: str) -> tuple[dict[str, Any], ...]:
    """Render to objects. `settings` are as for --set."""
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


def of_kind(objects: tuple[dict[str, Any], ...], *kinds: str) -> list[dict[str, Any]]:
    return [found for found in objects if found["kind"] in kinds]


def named(objects: tuple[dict[str, Any], ...], kind: str, name: str) -> dict[str, Any]:
    [found] = [one for one in of_kind(objects, kind) if one["metadata"]["name"] == name]
    return found


def pods(objects: tuple[dict[str, Any], ...]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every pod that would run, tests and hooks too: (kind/name of its owner, {metadata, spec})."""
    for owner in of_kind(objects, "Deployment", "StatefulSet", "Job", "Pod"):
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
