"""skaffold.yaml, held against what it names: skaffold itself is not at hand where these tests run."""

from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from dev.helm import ROOT
from dev.ports import OPTIONAL
from tests.charts.rendering import NAMESPACE, SERVICES, UMBRELLA, named, pods, render

CONFIG = yaml.safe_load((ROOT / "skaffold.yaml").read_text())
[RELEASE] = CONFIG["deploy"]["helm"]["releases"]
IMAGES = [artifact["image"] for artifact in CONFIG["build"]["artifacts"]]
ALL = (*SERVICES, *OPTIONAL)
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
FLAGS = {"type": "array", "items": TEXT}
PATCH = closed({"op": {"enum": ["add"]}, "path": TEXT, "value": {}})
# The part of skaffold/v4beta14 that we use.
SCHEMA = closed(
    {
        "apiVersion": {"const": "skaffold/v4beta14"},
        "kind": {"const": "Config"},
        "metadata": closed({"name": TEXT}),
        "build": closed({**BUILD, "artifacts": {"type": "array", "items": ARTIFACT}}),
        "deploy": closed(
            {
                "helm": closed(
                    {
                        "flags": closed({"install": FLAGS, "upgrade": FLAGS}),
                        "releases": {"type": "array", "items": HELM},
                    }
                )
            },
            {"kubeContext": TEXT},
        ),
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
    assert sorted(IMAGES) == sorted(f"sagashop/{name}" for name in (*ALL, "operator", "sagactl"))
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
    """Render with the values that skaffold would set, and look at what runs: all that there is to be run."""
    settings = [f"global.{service}.enabled=true" for service in OPTIONAL]
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


def test_the_values_of_the_loop_exist_and_render() -> None:
    [release] = patched("dev")["deploy"]["helm"]["releases"]
    for file in release["valuesFiles"]:
        assert render(ROOT / release["chartPath"], ROOT / file)


def test_what_is_deployed_to_a_cluster_of_ones_own_has_ones_own_values() -> None:
    """Those in `ci/` name hosts, classes and networks that are nobody's."""
    [release] = patched("prod")["deploy"]["helm"]["releases"]
    assert release["valuesFiles"] == ["{{.VALUES}}"]


def synced(artifact: dict[str, Any], dest: str | None = None) -> set[Path]:
    """Find the files that a rule of an artifact takes to the pod instead of building its image anew."""
    rules = [rule for rule in artifact["sync"]["manual"] if dest in (None, rule["dest"])]
    return {file for rule in rules for file in ROOT.glob(rule["src"])}


def code(*folders: str) -> set[Path]:
    return {file for folder in folders for file in ROOT.glob(f"{folder}/**/*.py")}


@pytest.mark.parametrize("image", IMAGES)
def test_an_edit_builds_no_image_anew_but_that_whose_program_it_is(image: str) -> None:
    """A file that an image is made of, and no rule names, makes Skaffold build and deploy it."""
    [artifact] = [one for one in patched("dev")["build"]["artifacts"] if one["image"] == image]
    name = image.removeprefix("sagashop/")
    own = {"operator": code("operator"), "sagactl": code("sagactl", "operator")}.get(name, set())
    assert code("services", "operator", "sagactl", "console") - synced(artifact) == own


@pytest.mark.parametrize("service", ALL)
def test_what_is_synced_goes_where_a_pod_reloads_it_from(service: str) -> None:
    [artifact] = [one for one in patched("dev")["build"]["artifacts"] if one["image"].endswith(f"/{service}")]
    assert code("services/shared", f"services/{service}") <= synced(artifact, "/app")
    deployment = named(
        render(UMBRELLA, ROOT / "k8s/values/development.yaml"), "Deployment", f"shop-{service}"
    )
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    [mount] = [each for each in container["volumeMounts"] if each["name"] == "code"]
    assert mount["mountPath"] == "/app/services"
    assert f"find /app/services/{service} /app/services/shared -name" in container["command"][-1]


def test_what_a_pod_does_not_hold_goes_to_a_place_that_it_can_write_to() -> None:
    objects = render(UMBRELLA, ROOT / "k8s/values/development.yaml")
    running = {name.split("/")[1].removeprefix("shop-"): pod for name, pod in pods(objects)}
    for artifact in patched("dev")["build"]["artifacts"]:
        name = artifact["image"].removeprefix("sagashop/")
        [container] = running["saga-operator" if name == "operator" else name]["spec"]["containers"]
        mounts = {each["mountPath"] for each in container["volumeMounts"] if not each.get("readOnly")}
        for rule in artifact["sync"]["manual"]:
            writable = "/app/services" if rule["dest"] == "/app" else rule["dest"]
            assert writable in mounts, name


def test_the_loop_deploys_to_the_projects_own_cluster_and_nowhere_else() -> None:
    kind = yaml.safe_load((ROOT / "k8s/kind.yaml").read_text())
    config = patched("dev")
    assert config["deploy"]["kubeContext"] == f"kind-{kind['name']}"
    assert "portForward" not in config  # kind itself has the port
    [mapping] = kind["nodes"][0]["extraPortMappings"]
    service = named(render(UMBRELLA, ROOT / "k8s/values/development.yaml"), "Service", "shop-gateway")
    assert mapping["hostPort"] == service["spec"]["ports"][0]["port"] == 3003
    assert mapping["containerPort"] == service["spec"]["ports"][0]["nodePort"]


def test_helm_waits_as_long_as_the_documents_say() -> None:
    assert CONFIG["deploy"]["helm"]["flags"] == {"install": ["--timeout=10m"], "upgrade": ["--timeout=10m"]}
    assert "--timeout 10m" in (ROOT / "docs/operations.md").read_text()
    assert RELEASE["namespace"] != NAMESPACE
