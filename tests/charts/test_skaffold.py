"""skaffold.yaml, held against what it names: skaffold itself is not at hand where these tests run."""

from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from dev.helm import ROOT, run_helm
from tests.charts.rendering import NAMESPACE, SERVICES, UMBRELLA, named, pods, render

CONFIG = yaml.safe_load((ROOT / "skaffold.yaml").read_text())
[RELEASE] = CONFIG["deploy"]["helm"]["releases"]
IMAGES = [artifact["image"] for artifact in CONFIG["build"]["artifacts"]]
TEXT = {"type": "string"}


def closed(required: dict[str, Any], optional: dict[str, Any] | None = None) -> dict[str, Any]:
    properties = {**required, **(optional or {})}
    return {
        "type": "object",
        "required": [*required],
        "properties": properties,
        "additionalProperties": False,
    }


SYNC = closed({"manual": {"type": "array", "items": closed({"src": TEXT, "dest": TEXT}, {"strip": TEXT})}})
BUILD = {
    "tagPolicy": {"type": "object", "minProperties": 1, "maxProperties": 1},
    "local": closed({"push": {"type": "boolean"}, "useBuildkit": {"type": "boolean"}}),
}
ARTIFACT = closed(
    {"image": TEXT, "docker": closed({"buildArgs": closed({"SERVICE": TEXT})})},
    {"context": TEXT, "sync": SYNC},
)
HELM = closed(
    {
        "name": TEXT,
        "chartPath": TEXT,
        "namespace": TEXT,
        "createNamespace": {"type": "boolean"},
        "skipBuildDependencies": {"const": True},
        "wait": {"type": "boolean"},
        "setValueTemplates": {"type": "object", "additionalProperties": TEXT},
    },
    {"valuesFiles": {"type": "array", "items": TEXT}},
)
PATCH = closed({"op": {"enum": ["add"]}, "path": TEXT, "value": {}})
# The part of skaffold/v4beta14 that we use.
SCHEMA = closed(
    {
        "apiVersion": {"const": "skaffold/v4beta14"},
        "kind": {"const": "Config"},
        "metadata": closed({"name": TEXT}),
        "build": closed({**BUILD, "artifacts": {"type": "array", "items": ARTIFACT}}),
        "deploy": closed({"helm": closed({"releases": {"type": "array", "items": HELM}})}),
        "portForward": {"type": "array"},
        "profiles": {
            "type": "array",
            "items": closed(
                {"name": TEXT, "patches": {"type": "array", "items": PATCH}},
                {"build": closed(BUILD), "activation": {"type": "array", "items": closed({"command": TEXT})}},
            ),
        },
    }
)


def patched(profile: str) -> dict[str, Any]:
    """Apply a profile's patches as skaffold does."""
    config: dict[str, Any] = yaml.safe_load((ROOT / "skaffold.yaml").read_text())
    [found] = [one for one in config.pop("profiles") if one["name"] == profile]
    for patch in found["patches"]:
        *way, last = patch["path"].strip("/").split("/")
        place: Any = config
        for step in way:
            place = place[int(step)] if isinstance(place, list) else place[step]
        assert last not in place
        place[last] = patch["value"]
    return config


def test_the_configuration_has_the_structure_of_its_version() -> None:
    jsonschema.validate(CONFIG, SCHEMA)


@pytest.mark.parametrize("profile", ["dev", "prod"])
def test_a_profile_patches_places_that_exist_to_something_valid(profile: str) -> None:
    config = patched(profile)
    jsonschema.validate({**config, "profiles": []}, SCHEMA)


def test_every_image_is_one_that_the_dockerfile_builds_and_the_chart_runs() -> None:
    assert sorted(IMAGES) == sorted(f"sagashop/{name}" for name in (*SERVICES, "operator", "sagactl"))
    dockerfile = (ROOT / "Dockerfile").read_text()
    for artifact in CONFIG["build"]["artifacts"]:
        service = artifact["docker"]["buildArgs"]["SERVICE"]
        assert artifact["image"] == f"sagashop/{service}"
        assert f"FROM dependencies AS dependencies-{service}" in dockerfile
        assert any(
            (ROOT / folder / "__init__.py").exists()
            for folder in (f"services/{service}", service, "operator/saga_operator")
        )


def test_every_image_of_ours_is_the_one_that_skaffold_built() -> None:
    """Render with the values that skaffold would set, and look at what runs."""
    settings = []
    for key, template in RELEASE["setValueTemplates"].items():
        kind, image = template.removeprefix("{{.IMAGE_").removesuffix("}}").split("_", 1)
        assert image.replace("_", "/") in IMAGES
        settings.append(f"{key}={'built.example/' + image.replace('_', '/') if kind == 'REPO' else 'fresh'}")
    used = {
        container["image"]
        for _, pod in pods(render(ROOT / RELEASE["chartPath"], None, *settings))
        for container in pod["spec"]["containers"]
        if "sagashop" in container["image"]
    }
    assert used == {f"built.example/{image}:fresh" for image in IMAGES}


@pytest.mark.parametrize("profile", ["dev", "prod"])
def test_the_values_of_a_profile_exist_and_render(profile: str) -> None:
    [release] = patched(profile)["deploy"]["helm"]["releases"]
    for file in release["valuesFiles"]:
        assert render(ROOT / release["chartPath"], ROOT / file)


@pytest.mark.parametrize("index", range(len(SERVICES)))
def test_what_is_synced_goes_where_a_pod_reloads_it_from(index: int) -> None:
    artifact = patched("dev")["build"]["artifacts"][index]
    service = artifact["docker"]["buildArgs"]["SERVICE"]
    for sync in artifact["sync"]["manual"]:
        folder = Path(sync["src"].partition("/**")[0])
        assert list((ROOT / folder).glob("**/*.py"))
        assert folder.parts[1] in {service, "shared"}
    deployment = named(
        render(UMBRELLA, ROOT / "k8s/values/development.yaml"), "Deployment", f"shop-{service}"
    )
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    [code] = [mount for mount in container["volumeMounts"] if mount["name"] == "code"]
    assert f"{sync['dest']}/{folder.parts[0]}" == code["mountPath"]
    assert "-newer" in container["command"][-1]


def test_the_forwarded_port_is_the_gateways() -> None:
    [forward] = CONFIG["portForward"]
    service = named(render(UMBRELLA), "Service", forward["resourceName"])
    assert forward["port"] in [port["port"] for port in service["spec"]["ports"]]
    assert run_helm("version")
    assert NAMESPACE != forward["namespace"] == RELEASE["namespace"]
