"""Minutes become seconds, and nothing else changes."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from dev.alert_drill.hurried import hurried, told_to
from dev.scraping import rule_files
from dev.services import REPOSITORY


def test_ranges_and_waits_shrink_and_words_stay() -> None:
    assert hurried("expr: sum(rate(a_total[5m])) > 600\nfor: 2m\nsummary: for: 5m of [text]\n") == (
        "expr: sum(rate(a_total[5s])) > 600\nfor: 2s\nsummary: for: 5m of [text]\n"
    )
    assert hurried("expr: a[6h]\n    keep_firing_for: 1d\n") == "expr: a[360s]\n    keep_firing_for: 1440s\n"


def test_ages_shrink_where_that_is_asked_for_and_no_other_threshold() -> None:
    ages = 'max by (a) (x_oldest_seconds{s=~"A|B"}) > 600\nmax(y_failing_seconds) > 6 * 3600\n'
    others = "rate(a_seconds_count[5m]) > 600\nhistogram_quantile(0.9, rate(a_seconds_bucket[5m])) > 60\n"
    assert hurried(ages) == ages
    assert hurried(ages + others, ages=True) == (
        ages.replace("6 * 3600", "360").replace("600", "10") + others.replace("5m", "5s")
    )


@pytest.mark.parametrize("text", ["expr: a[30s]", "for: 0m", "for: 90s"])
def test_what_would_be_no_whole_second_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no whole number of seconds"):
        hurried(text)


@pytest.mark.parametrize("file", rule_files(), ids=lambda file: file.stem)
def test_every_file_of_the_chart_can_be_hurried(file: Path) -> None:
    before = file.read_text()
    after = hurried(before)
    assert not re.search(r"\[\d+[mhd]\]|for: \d+[mhd]$", after, re.MULTILINE)
    names = [[rule.get("alert") for rule in group["rules"]] for group in yaml.safe_load(before)["groups"]]
    assert names == [
        [rule.get("alert") for rule in group["rules"]] for group in yaml.safe_load(after)["groups"]
    ]


def _names(rules: str) -> Iterator[str | None]:
    for group in yaml.safe_load(rules)["groups"]:
        yield from (rule.get("alert") for rule in group["rules"])


def test_routes_and_inhibitions_stay_and_every_receiver_is_ours() -> None:
    shipped = yaml.safe_load((REPOSITORY / "docs" / "alertmanager.yaml").read_text())
    ours = told_to("http://127.0.0.1:1", shipped)
    assert ours["inhibit_rules"] == shipped["inhibit_rules"]
    assert ours["route"]["routes"] == shipped["route"]["routes"]
    assert [each["webhook_configs"][0]["url"] for each in ours["receivers"]] == [
        f"http://127.0.0.1:1/{each['name']}" for each in shipped["receivers"]
    ]
