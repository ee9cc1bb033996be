"""Which changes of a SagaMonitor's conditions are worth a Kubernetes Event: transitions, and nothing else."""

from collections.abc import Iterable, Mapping
from typing import Any

from saga_operator.conditions import Event, find

SUSPENDED = "Suspended"
COMPENSATION_FAILED = "CompensationFailed"
_BAD = {
    "Ready": "False",
    "OrderServiceReachable": "False",
    "StaleOrdersDetected": "True",
    "Degraded": "True",
    "Consistent": "False",
}
_NEWS = {
    "OrderServiceReachable": ("OrderServiceUnreachable", "OrderServiceReachable"),
    "StaleOrdersDetected": ("StaleOrdersDetected", "NoStaleOrders"),
    "Degraded": ("Degraded", "Recovered"),
    "Consistent": ("BooksDisagree", "BooksAgree"),
}
"""Condition -> the Event's reason when it turns bad, and when it turns good again."""


def news(old: list[Mapping[str, Any]], new: list[dict[str, Any]]) -> Iterable[Event]:
    """Yield transitions only: an outage of a day makes two Events and not a thousand."""
    turned = {c["type"] for c in new if _turned(find(old, c["type"]), c)}
    for condition in new:
        if condition["type"] in turned and condition["type"] in _NEWS:
            bad, good = _NEWS[condition["type"]]
            yield (
                _warning(bad, condition)
                if _is_bad(condition)
                else Event("Normal", good, condition["message"])
            )
        elif condition["type"] == "Ready":
            yield from _ready_news(find(old, "Ready"), condition, told=turned & {"OrderServiceReachable"})


def _ready_news(
    old: Mapping[str, Any] | None, new: Mapping[str, Any], told: Iterable[str]
) -> Iterable[Event]:
    was = old is not None and old["reason"] == SUSPENDED
    is_ = new["reason"] == SUSPENDED
    if was != is_:
        yield Event("Normal", SUSPENDED if is_ else "Resumed", new["message"])
    if _is_bad(new) and _turned(old, new) and not told:
        yield _warning(new["reason"], new)
    if new["reason"] == COMPENSATION_FAILED and (old is None or old["reason"] != COMPENSATION_FAILED):
        yield _warning(COMPENSATION_FAILED, new)


def _warning(reason: str, condition: Mapping[str, Any]) -> Event:
    return Event("Warning", reason, condition["message"])


def _is_bad(condition: Mapping[str, Any]) -> bool:
    return bool(condition["status"] == _BAD[condition["type"]])


def _turned(old: Mapping[str, Any] | None, new: Mapping[str, Any]) -> bool:
    return new["status"] != "Unknown" and _is_bad(new) != (old is not None and _is_bad(old))
