"""What is written about values is what values.yaml says."""

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from charts import document
from dev.helm import ROOT
from tests.charts.rendering import ALONE, CHARTS, UMBRELLA

everything = pytest.mark.parametrize("chart", [*ALONE, UMBRELLA], ids=lambda chart: chart.name)


def test_schemas_and_readmes_are_what_values_say() -> None:
    outdated = [str(file) for file, _ in document.outdated()]
    assert outdated == [], "run: python -m charts.document"


@everything
def test_every_value_is_explained(chart: Path) -> None:
    values = document.read(chart / "values.yaml")
    if document.is_service(chart):
        values = document.merge(document.shared_values(), values)
    unexplained = [".".join(leaf.path) for leaf in values.leaves() if not leaf.meaning]
    assert unexplained == []


@everything
def test_a_schema_is_valid_closed_and_takes_its_own_defaults(chart: Path) -> None:
    schema = json.loads((chart / "values.schema.json").read_text())
    jsonschema.Draft7Validator.check_schema(schema)
    assert schema["additionalProperties"] is False
    jsonschema.validate(yaml.safe_load((chart / "values.yaml").read_text()) or {}, schema)


@everything
def test_a_wrong_type_is_refused(chart: Path) -> None:
    schema = json.loads((chart / "values.schema.json").read_text())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"enabled": "yes, please"}, schema)


def test_all_charts_have_the_same_version_and_our_images_that_of_the_project() -> None:
    charts = {file.parent.name: yaml.safe_load(file.read_text()) for file in CHARTS.glob("*/Chart.yaml")}
    project = (ROOT / "pyproject.toml").read_text()
    [version] = {chart["version"] for chart in charts.values()}
    assert f'\nversion = "{version}"\n' in project
    servers = {"jaeger", "mongodb", "rabbitmq", "redis", "service"}
    assert {chart["appVersion"] for name, chart in charts.items() if name not in servers} == {version}
    assert all(chart["kubeVersion"] == ">=1.30.0-0" for chart in charts.values())


def test_the_meaning_of_a_value_may_hold_dashes(tmp_path: Path) -> None:
    file = tmp_path / "values.yaml"
    file.write_text("# -- Run\n# `exec pod -- check`.\nenabled: false\n")
    [enabled] = document.read(file).leaves()
    assert enabled.meaning == "Run `exec pod -- check`."
