"""Alerts and dashboards, as the chart hands them on."""

import json
from pathlib import Path
from typing import Any

from dev.dashboards.__main__ import FOLDER
from dev.helm import ROOT
from tests.charts.rendering import UMBRELLA, of_kind, render
from tests.monitoring.rules import ALERTS, RECORDS

RULES = "monitoring.rules.enabled=true"


def rules(*settings: str) -> dict[str, dict[str, Any]]:
    """Rules by their names."""
    [found] = of_kind(render(UMBRELLA, None, RULES, *settings), "PrometheusRule")
    return {
        rule.get("alert") or rule["record"]: rule
        for group in found["spec"]["groups"]
        for rule in group["rules"]
    }


def test_there_are_none_unless_asked_for() -> None:
    objects = render(UMBRELLA)
    assert not of_kind(objects, "PrometheusRule")
    assert not [each for each in of_kind(objects, "ConfigMap") if "dashboard" in json.dumps(each["metadata"])]


def test_the_rules_are_those_of_the_files() -> None:
    found = rules()
    assert set(found) == {*ALERTS, *RECORDS}
    assert {name: found[name] for name in ALERTS} == ALERTS


def test_every_dashboard_is_a_config_map_that_the_sidecar_finds() -> None:
    asked = ("monitoring.dashboards.enabled=true", "monitoring.dashboards.annotations.folder=Shops")
    found = [
        each
        for each in of_kind(render(UMBRELLA, None, *asked), "ConfigMap")
        if each["metadata"]["labels"].get("grafana_dashboard") == "1"
    ]
    files = {name: text for each in found for name, text in each["data"].items()}
    assert files == {file.name: file.read_text() for file in FOLDER.iterdir()}
    assert all(each["metadata"]["annotations"] == {"folder": "Shops"} for each in found)


def test_an_alert_can_be_left_out_and_be_of_another_severity() -> None:
    found = rules(
        "monitoring.rules.disabled[0]=SagashopRedisAway",
        "monitoring.rules.severities.SagashopDeadLetters=page",
    )
    assert {*ALERTS, *RECORDS} - set(found) == {"SagashopRedisAway"}
    assert found["SagashopDeadLetters"]["labels"] == {"severity": "page", "component": "messages"}
    assert found["SagashopOrdersStuck"] == ALERTS["SagashopOrdersStuck"]


def test_every_alert_leads_to_its_page_where_it_is_said_where_they_are() -> None:
    found = rules("monitoring.rules.runbookUrl=https://wiki.example.com/runbooks/")
    for name in ALERTS:
        url = found[name]["annotations"]["runbook_url"]
        assert url == f"https://wiki.example.com/runbooks/{name}.md"
        assert (ROOT / "docs" / "runbooks" / Path(url).name).is_file()
