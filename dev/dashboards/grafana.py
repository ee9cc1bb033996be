"""A board as Grafana reads it: the classic model, which Grafana 10 to 13, sidecars and operators take."""

import json
from collections.abc import Iterator
from typing import Final

from grafana_foundation_sdk.builders import common as parts
from grafana_foundation_sdk.builders import dashboard, prometheus, stat, statetimeline, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common
from grafana_foundation_sdk.models import dashboard as model

from dev.dashboards.panels import Board, Kind, Panel, Unit

SOURCE: Final = common.DataSourceRef(type_val="prometheus", uid="$datasource")
LATEST: Final = parts.ReduceDataOptions().calcs(["lastNotNull"])
ALL: Final = model.VariableOption(text="All", value="$__all", selected=True)
NAMESPACES: Final = "label_values(sagashop_build_info, namespace)"
# Grafana 10's: newer ones bring it up to theirs when they read it, older ones would not know a newer one.
SCHEMA: Final = 39
GREEN, AMBER, RED = "green", "orange", "red"
AnyPanel = stat.Panel | timeseries.Panel | statetimeline.Panel


def written(board: Board) -> str:
    """The dashboard, as it is committed."""
    made = _dashboard(board).build()
    made.schema_version = SCHEMA
    return json.dumps(made, cls=JSONEncoder, indent=1, sort_keys=True) + "\n"


def _dashboard(board: Board) -> dashboard.Dashboard:
    made = (
        dashboard.Dashboard(f"sagashop / {board.title}")
        .uid(f"sagashop-{board.name}")
        .description(board.about)
        .tags(["sagashop"])
        .timezone("browser")
        .time("now-3h", "now")
        .refresh("30s")
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
        .link(
            dashboard.DashboardLink("sagashop")
            .type(model.DashboardLinkType.DASHBOARDS)
            .tags(["sagashop"])
            .keep_time(keep_time=True)
            .include_vars(include_vars=True)
        )
        .with_variable(dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
        .with_variable(
            dashboard.QueryVariable("namespace")
            .label("Namespace")
            .datasource(SOURCE)
            .query(NAMESPACES)
            .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
            .include_all(include_all=True)
            .multi(multi=True)
            .current(ALL)
        )
    )
    for number, (panel, place) in enumerate(_placed(board), start=1):
        made = made.with_panel(_panel(panel).id(number).grid_pos(place))
    return made


def _placed(board: Board) -> Iterator[tuple[Panel, model.GridPos]]:
    """Row below row, each panel right of the one before it."""
    top = 0
    for row in board.rows:
        left = 0
        for panel in row:
            yield panel, model.GridPos(h=panel.height, w=panel.width, x=left, y=top)
            left += panel.width
        top += max(panel.height for panel in row)


def _panel(panel: Panel) -> AnyPanel:
    made: AnyPanel
    match panel.kind:
        case Kind.STAT:
            made = stat.Panel().color_mode(common.BigValueColorMode.VALUE).reduce_options(LATEST)
        case Kind.STATES:
            made = statetimeline.Panel()
        case Kind.LINES:
            made = _lines(panel)
    made = (
        made.title(panel.title)
        .description(panel.about)
        .datasource(SOURCE)
        .unit(panel.unit)
        .thresholds(_thresholds(panel))
    )
    if panel.unit is Unit.RATIO:
        made = made.min(0)
    for number, query in enumerate(panel.queries):
        target = (
            prometheus.Dataquery()
            .expr(query.promql)
            .legend_format(query.legend)
            .ref_id(chr(ord("A") + number))
        )
        made = made.with_target(target.datasource(SOURCE))
    return made


def _lines(panel: Panel) -> timeseries.Panel:
    made = (
        timeseries.Panel()
        .fill_opacity(10)
        .show_points(common.VisibilityMode.NEVER)
        .legend(
            parts.VizLegendOptions()
            .show_legend(show_legend=True)
            .placement(common.LegendPlacement.BOTTOM)
            .display_mode(common.LegendDisplayMode.LIST)
        )
        .tooltip(
            parts.VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI).sort(common.SortOrder.DESCENDING)
        )
    )
    if panel.stacked:
        made = made.stacking(parts.StackingConfig().mode(common.StackingMode.NORMAL))
    if panel.red is not None or panel.amber is not None:
        made = made.thresholds_style(
            parts.GraphThresholdsStyleConfig().mode(common.GraphThresholdsStyleMode.DASHED)
        )
    return made


def _thresholds(panel: Panel) -> dashboard.ThresholdsConfig:
    steps = [model.Threshold(value=None, color=GREEN)]
    steps += [
        model.Threshold(value=value, color=color)
        for value, color in ((panel.amber, AMBER), (panel.red, RED))
        if value is not None
    ]
    return dashboard.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps(steps)
