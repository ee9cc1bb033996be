"""A SagaMonitor's spec, read into types; the defaults are the CRD's."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from saga_operator.policy.durations import parse_duration
from saga_operator.policy.policy import Action, Policy

# What follows it is ours: a path, a query or a fragment in it would make another request of ours.
ADDRESS = re.compile(r"https?://[^\s/?#@]+/?")
LONGEST_TIMEOUT = timedelta(seconds=30)
"""One request may not hold up a sweep for longer, whatever the spec says: the heartbeat depends on it."""

CHECKED_WITHIN = timedelta(hours=3)
"""By the chart a check runs every hour."""


@dataclass(frozen=True)
class SecretRef:
    name: str
    key: str = "token"


@dataclass(frozen=True)
class OrderServiceRef:
    url: str | None
    service: str | None
    port: str
    token: SecretRef | None
    timeout: timedelta


@dataclass(frozen=True)
class Spec:
    order_service: OrderServiceRef
    policy: Policy
    interval: timedelta
    failure_threshold: int
    suspend: bool
    checked_within: timedelta = CHECKED_WITHIN
    """For how long what a check of the books said counts."""


def parse_spec(spec: Mapping[str, Any]) -> Spec:
    """Raise ValueError where the CRD's validation was passed by, as with an older CRD."""
    try:
        return Spec(
            order_service=_order_service(spec["orderService"]),
            policy=_policy(spec),
            interval=parse_duration(spec.get("interval", "60s")),
            failure_threshold=int(spec.get("failureThreshold", 3)),
            suspend=bool(spec.get("suspend", False)),
            checked_within=parse_duration(spec["checkedWithin"])
            if "checkedWithin" in spec
            else CHECKED_WITHIN,
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"the spec lacks or misplaces {error}") from error


def _policy(spec: Mapping[str, Any]) -> Policy:
    pending = spec.get("pendingStaleAfter")
    return Policy(
        stale_after=parse_duration(spec.get("staleAfter", "5m")),
        pending_stale_after=None if pending is None else parse_duration(pending),
        action=Action(spec.get("action", Action.COMPENSATE)),
        max_per_sweep=int(spec.get("maxPerSweep", 200)),
        dry_run=bool(spec.get("dryRun", False)),
    )


def _order_service(ref: Mapping[str, Any]) -> OrderServiceRef:
    service, token = ref.get("serviceRef"), ref.get("tokenSecretRef")
    if (ref.get("url") is None) == (service is None):
        raise ValueError("exactly one of orderService.url and orderService.serviceRef must be set")
    url = ref.get("url")
    if url is not None and not ADDRESS.fullmatch(url):
        raise ValueError("orderService.url is the address of the order service alone: https://host:port")
    return OrderServiceRef(
        url=url,
        service=None if service is None else service["name"],
        port="http" if service is None else service.get("port", "http"),
        token=None if token is None else SecretRef(token["name"], token.get("key", "token")),
        timeout=min(parse_duration(ref.get("timeout", "5s")), LONGEST_TIMEOUT),
    )
