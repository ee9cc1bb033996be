"""Dashboards, by their form and by their words: what they ask for is there, and asked for as it has to be."""

import json
import re
from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import Any, Final

import promql_parser
import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from dev.dashboards.__main__ import FOLDER, file_of
from dev.dashboards.boards import BOARDS
from dev.dashboards.grafana import written
from dev.dashboards.panels import COLUMNS, Board, Panel, Unit
from tests.monitoring.rules import ALERTS, RECORDS, rules
from tests.unit.metrics import series

# What Grafana puts in; any will do for a parser.
VARIABLES: Final = {"namespace": "shop", "__rate_interval": "1m"}
# Of the target, and of Prometheus.
OF_TARGETS: Final = {"namespace", "job", "pod"}
# Metrics of others: what we know of their labels.
OTHERS: Final[Mapping[str, set[str]]] = {
    "ALERTS": {"alertname", "alertstate", "severity", "component"},
    "rabbitmq_detailed_queue_messages_ready": {"queue", "vhost"},
    "rabbitmq_detailed_queue_messages_unacked": {"queue", "vhost"},
    "rabbitmq_detailed_queue_consumers": {"queue", "vhost"},
    "rabbitmq_cluster_exchange_bindings": {"exchange", "vhost", "type"},
    "rabbitmq_process_resident_memory_bytes": set(),
    "rabbitmq_resident_memory_limit_bytes": set(),
    "rabbitmq_disk_space_available_bytes": set(),
    "rabbitmq_disk_space_available_limit_bytes": set(),
    "rabbitmq_alarms_memory_used_watermark": set(),
    "rabbitmq_alarms_free_disk_space_watermark": set(),
    "rabbitmq_connections": set(),
    "kubelet_volume_stats_available_bytes": {"persistentvolumeclaim"},
    "kubelet_volume_stats_capacity_bytes": {"persistentvolumeclaim"},
    "process_cpu_seconds_total": set(),
    "process_resident_memory_bytes": set(),
    "process_open_fds": set(),
    "process_max_fds": set(),
}
# Every replica counts the whole database: a sum would be a multiple.
OF_THE_DATABASE: Final = re.compile(
    r"sagashop_(orders|orders_oldest_seconds|orders_attention|outbox_rows|outbox_oldest_seconds|refunds_open"
    r"|refunds_refused|refunds_oldest_seconds)"
)
every_board = pytest.mark.parametrize("board", BOARDS, ids=[board.name for board in BOARDS])


def asked() -> Iterator[tuple[str, str]]:
    """Every expression of the dashboards and of the rules, and whose it is."""
    for board in BOARDS:
        for panel in board.panels:
            for query in panel.queries:
                yield f"{board.name}: {panel.title}", query.asked(VARIABLES)
    for rule in rules():
        yield rule.get("alert") or rule["record"], rule["expr"]


def nodes(tree: Any) -> Iterator[Any]:
    """The expression and all that is in it."""
    yield tree
    for part in ("expr", "lhs", "rhs", "param"):
        if (below := getattr(tree, part, None)) is not None:
            yield from nodes(below)
    if isinstance(tree, promql_parser.Call):
        for argument in tree.args:
            yield from nodes(argument)
    if isinstance(tree, promql_parser.MatrixSelector):
        yield from nodes(tree.vector_selector)


def selectors(text: str) -> list[Any]:
    tree = promql_parser.parse(text)
    return [node for node in nodes(tree) if isinstance(node, promql_parser.VectorSelector)]


# --- form -------------------------------------------------------------------------------------------------


@every_board
def test_what_is_committed_is_what_is_written(board: Board) -> None:
    assert file_of(board.name).read_text() == written(board), "python -m dev.dashboards"


def test_there_is_no_dashboard_but_these() -> None:
    assert {file.stem for file in FOLDER.iterdir()} == {board.name for board in BOARDS}


@every_board
def test_grafanas_own_model_reads_it_and_loses_nothing(board: Board) -> None:
    given = json.loads(written(board))
    again = json.loads(json.dumps(Dashboard.from_json(given), cls=JSONEncoder))
    assert again == given


@every_board
def test_panels_have_ids_places_and_words(board: Board) -> None:
    made = json.loads(written(board))
    assert len(made["uid"]) <= 40
    panels = made["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels) == len(board.panels)
    places = [panel["gridPos"] for panel in panels]
    assert all(place["x"] + place["w"] <= COLUMNS for place in places)
    for one, other in combinations(places, 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        above = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or above, (one, other)
    for panel in panels:
        assert panel["title"]
        assert panel["description"].endswith("."), panel["title"]
        assert panel["datasource"]["uid"] == "$datasource"
        assert panel["fieldConfig"]["defaults"]["unit"]
    assert len({panel["title"] for panel in panels}) == len(panels)


@every_board
def test_every_variable_is_used(board: Board) -> None:
    made = json.loads(written(board))
    text = json.dumps(made["panels"])
    assert [each["name"] for each in made["templating"]["list"]] == ["datasource", "namespace"]
    assert all(f"${each['name']}" in text for each in made["templating"]["list"])
    for panel in board.panels:
        for query in panel.queries:
            found = selectors(query.asked(VARIABLES))
            chosen = [any(each.name == "namespace" for each in one.matchers.matchers) for one in found]
            assert any(chosen), f"{panel.title}: of which namespace?"


def test_a_panel_that_leads_to_a_runbook_leads_to_one_that_is_there() -> None:
    for board in BOARDS:
        for panel in board.panels:
            assert set(re.findall(r"Sagashop\w+", panel.about)) <= set(ALERTS), panel.title


# --- words ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("whose", "text"), list(asked()), ids=lambda each: each if " by " not in each else ""
)
def test_what_is_asked_for_is_what_there_is(whose: str, text: str) -> None:
    known = {**series(), **OTHERS, **dict.fromkeys(RECORDS, frozenset())}
    for selector in selectors(text):
        assert selector.name in known, f"{whose}: there is no {selector.name}"
        for matcher in selector.matchers.matchers:
            assert matcher.name in OF_TARGETS | known[selector.name], f"{whose}: no label {matcher.name}"


@pytest.mark.parametrize(
    ("whose", "text"), list(asked()), ids=lambda each: each if " by " not in each else ""
)
def test_it_is_asked_for_as_it_has_to_be(whose: str, text: str) -> None:
    tree = promql_parser.parse(text)
    for node in nodes(tree):
        if isinstance(node, promql_parser.AggregateExpr) and str(node.op) == "sum":
            below = {each.name for each in selectors(node.expr.prettify())}
            assert not [name for name in below if OF_THE_DATABASE.fullmatch(name)], (
                f"{whose}: `max`, not `sum`"
            )
        if isinstance(node, promql_parser.Call) and node.func.name == "histogram_quantile":
            assert re.search(r"by \([^)]*\ble\b[^)]*\)", node.prettify()), f"{whose}: `le` is lost"
    if "sagashop_saga_duration_seconds" in text:
        assert 'outcome=~"PAID|CANCELLED"' in text, f"{whose}: REFUNDED counts days"
    assert not re.search(r"\$[a-z_]", text), f"{whose}: a variable that nobody fills in"


def test_a_ratio_begins_at_zero() -> None:
    def made(panel: Panel, board: Board) -> Any:
        (found,) = [each for each in json.loads(written(board))["panels"] if each["title"] == panel.title]
        return found

    for board in BOARDS:
        for panel in board.panels:
            if panel.unit is Unit.RATIO:
                assert made(panel, board)["fieldConfig"]["defaults"]["min"] == 0, panel.title
