"""Every rendered object is one that an API server takes, by Kubernetes' schemas and by our CRD's."""

import copy
import functools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import celpy
import jsonschema
import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml
from celpy.adapter import json_to_cel

from dev.helm import ROOT
from tests.charts.rendering import CASES, CHARTS, NAMES, render

CRD = yaml.safe_load((CHARTS / "saga-operator/files/sagamonitors.yaml").read_text())
SCHEMA = CRD["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
OTHERS = {"Certificate", "PodMonitor", "PrometheusRule", "ServiceMonitor"}
VERSIONS = ("1.30", kubernetes_validate.latest_version())
every_case = pytest.mark.parametrize(("chart", "values"), CASES, ids=NAMES)


@pytest.fixture(autouse=True, scope="module")
def _definitions_read_once() -> Iterator[None]:
    """A version has more than a megabyte of them, and kubernetes-validate reads them anew for each object."""
    utils = kubernetes_validate.utils
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(utils, "schema_contents", functools.cache(utils.schema_contents))
        yield


def with_defaults(schema: dict[str, Any], value: Any) -> Any:
    """Fill in what the API server would."""
    if not isinstance(value, dict):
        return value
    filled = {}
    for name, part in schema.get("properties", {}).items():
        if name in value:
            filled[name] = with_defaults(part, value[name])
        elif "default" in part:
            filled[name] = part["default"]
    return {**value, **filled}


def strict(schema: dict[str, Any]) -> dict[str, Any]:
    """Refuse unknown fields, which an API server would drop in silence."""
    schema = copy.deepcopy(schema)
    if properties := schema.get("properties"):
        schema["properties"] = {name: strict(part) for name, part in properties.items()}
        schema["additionalProperties"] = False
    if "items" in schema:
        schema["items"] = strict(schema["items"])
    if properties and "metadata" in properties:
        schema["properties"]["metadata"] = {"type": "object"}
    return schema


def broken_rules(schema: dict[str, Any], value: Any) -> list[str]:
    """Evaluate the CEL rules of a schema and of its parts; return the messages of those that do not hold."""
    environment = celpy.Environment()
    messages = [
        rule["message"]
        for rule in schema.get("x-kubernetes-validations", ())
        if not environment.program(environment.compile(rule["rule"])).evaluate({"self": json_to_cel(value)})
    ]
    for name, part in schema.get("properties", {}).items():
        if isinstance(value, dict) and name in value:
            messages += broken_rules(part, value[name])
    return messages


def admit(monitor: dict[str, Any]) -> list[str]:
    """Do as the API server does: fill in defaults, check the schema, then the rules."""
    filled = with_defaults(SCHEMA, monitor)
    jsonschema.validate(filled, strict(SCHEMA))
    return broken_rules(SCHEMA, filled)


def spec(**changes: Any) -> dict[str, Any]:
    return {"spec": {"orderService": {"serviceRef": {"name": "shop-order"}}, **changes}}


@functools.cache
def validate(text: str, version: str) -> None:
    """Validate an object once, however many sets of values it is rendered from."""
    kubernetes_validate.validate(json.loads(text), version, strict=True)


@every_case
def test_every_object_is_valid_for_the_newest_and_the_oldest_kubernetes(
    chart: Path, values: Path | None
) -> None:
    for found in render(chart, values):
        if found["kind"] not in OTHERS:
            for version in VERSIONS:
                validate(json.dumps(found), version)


@pytest.mark.parametrize("sample", sorted(ROOT.glob("k8s/samples/*.yaml")), ids=lambda file: file.stem)
def test_the_sample_sagamonitors_are_admitted(sample: Path) -> None:
    objects = list(yaml.safe_load_all(sample.read_text()))
    monitors = [found for found in objects if found["kind"] == "SagaMonitor"]
    assert monitors
    assert [admit(found) for found in monitors] == [[] for _ in monitors]


@pytest.mark.parametrize(
    ("monitor", "message"),
    [
        (spec(staleAfter="29s"), "staleAfter must be at least 30s"),
        (spec(pendingStaleAfter="1s"), "pendingStaleAfter must be at least 30s"),
        (spec(interval="4s"), "interval must be at least 5s"),
        (spec(orderService={}), "exactly one of url and serviceRef must be set"),
        (
            spec(orderService={"url": "https://x", "serviceRef": {"name": "x"}}),
            "exactly one of url and serviceRef",
        ),
        (spec(orderService={"url": "https://x"}), "a url needs its own tokenSecretRef"),
        (spec(orderService={"serviceRef": {"name": "x"}, "timeout": "31s"}), "timeout must be at most 30s"),
    ],
    ids=["stale", "pending", "interval", "none", "both", "token", "timeout"],
)
def test_a_rule_of_the_definition_refuses(monitor: dict[str, Any], message: str) -> None:
    assert any(message in broken for broken in admit(monitor))


@pytest.mark.parametrize(
    "monitor",
    [spec(action="Delete"), spec(maxPerSweep=0), spec(staleAfter="soon"), spec(stalAfter="5m"), {"spec": {}}],
    ids=["action", "blast radius", "duration", "misspelt", "no order service"],
)
def test_the_definition_refuses(monitor: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        admit(monitor)
