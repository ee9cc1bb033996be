"""Kubernetes conditions and Events: replacing a condition so that `lastTransitionTime` tells the truth."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from saga_operator.policy.summary import timestamp

Status = Literal["True", "False", "Unknown"]
MESSAGE_LIMIT = 1024


@dataclass(frozen=True)
class Condition:
    type: str
    status: Status
    reason: str
    message: str


@dataclass(frozen=True)
class Event:
    """A Kubernetes Event to post: `type` is Normal or Warning."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str


def find(conditions: Iterable[Mapping[str, Any]], type_: str) -> Mapping[str, Any] | None:
    return next((condition for condition in conditions if condition["type"] == type_), None)


def replaced(
    old: Iterable[Mapping[str, Any]], new: Iterable[Condition], generation: int, now: datetime
) -> list[dict[str, Any]]:
    """Keep the time of the last transition where the status did not change."""
    before = list(old)
    return [_rendered(condition, find(before, condition.type), generation, now) for condition in new]


def _rendered(
    condition: Condition, before: Mapping[str, Any] | None, generation: int, now: datetime
) -> dict[str, Any]:
    unchanged = before is not None and before["status"] == condition.status
    return {
        "type": condition.type,
        "status": condition.status,
        "reason": condition.reason,
        "message": condition.message[:MESSAGE_LIMIT],
        "observedGeneration": generation,
        "lastTransitionTime": before["lastTransitionTime"] if before and unchanged else timestamp(now),
    }
