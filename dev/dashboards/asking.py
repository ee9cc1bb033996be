"""What a Prometheus has for the panels of a board."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import aiohttp

from dev.dashboards.panels import Board, Panel
from dev.dashboards.picture import Series

# So many points are as many as a picture shows.
POINTS: Final = 300


class RefusedError(Exception):
    """Prometheus does not take a query. The text says why."""


async def shown(
    session: aiohttp.ClientSession,
    url: str,
    board: Board,
    begin: float,
    end: float,
    variables: Mapping[str, str],
) -> list[Sequence[Series]]:
    """The series of each panel, in their order, between two moments (Unix seconds). Raises RefusedError."""
    return [await _of_panel(session, url, panel, begin, end, variables) for panel in board.panels]


async def _of_panel(
    session: aiohttp.ClientSession,
    url: str,
    panel: Panel,
    begin: float,
    end: float,
    variables: Mapping[str, str],
) -> list[Series]:
    found: list[Series] = []
    for query in panel.queries:
        for series in await _asked(session, url, query.asked(variables), begin, end):
            points = [(float(at), float(value)) for at, value in series["values"]]
            found.append(Series(_legend(query.legend, series["metric"]), points))
    return found


async def _asked(
    session: aiohttp.ClientSession, url: str, expr: str, begin: float, end: float
) -> list[dict[str, Any]]:
    step = max((end - begin) / POINTS, 1.0)
    asked = {"query": expr, "start": str(begin), "end": str(end), "step": str(step)}
    async with session.get(f"{url}/api/v1/query_range", params=asked) as answer:
        body = await answer.json()
    if body["status"] != "success":
        raise RefusedError(f"{expr}: {body['error']}")
    found: list[dict[str, Any]] = body["data"]["result"]
    return found


def _legend(template: str, labels: Mapping[str, str]) -> str:
    return re.sub(r"{{(\w+)}}", lambda label: labels.get(label[1], ""), template)
