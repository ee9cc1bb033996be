"""Values that cannot be right are refused by the schemas, which Helm asks before it installs anything."""

import functools
import json
from typing import Any

import jsonschema
import pytest

from tests.charts.rendering import CHARTS


@functools.cache
def schema(chart: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((CHARTS / chart / "values.schema.json").read_text())
    return found


def refused(chart: str, path: str, value: object) -> bool:
    """Whether the schema complains about this place; True for no other complaint."""
    *above, last = path.split(".")
    values: dict[str, Any] = {last: value}
    for name in reversed(above):
        values = {name: values}
    complaints = list(jsonschema.Draft7Validator(schema(chart)).iter_errors(values))
    for complaint in complaints:
        assert ".".join(map(str, complaint.absolute_path)).startswith(path), complaint.message
    return bool(complaints)


# What a chart's value may be, and what somebody writes who thinks of something else.
CASES: list[tuple[str, str, list[object], list[object]]] = [
    ("order", "replicaCount", [0, 3], [-1, "3", 1.5]),
    ("order", "image.tag", ["", "1.2.3", "0f3c9ab"], [7, "a b", "sagashop/order:1", "-x"]),
    (
        "order",
        "resources.requests",
        [{"cpu": "50m", "memory": "128Mi"}, {"cpu": 0.5}, {"cpu": None}],
        [{"memory": "128MB"}, {"memory": "128 Mi"}, {"cpu": "half"}, {"cpu": True}],
    ),
    ("order", "resources.limits", [{"memory": 134217728, "nvidia.com/gpu": "1"}], [{"memory": "384mb"}]),
    (
        "order",
        "probes.startup",
        [{"failureThreshold": 600}],
        [{"failureTreshold": 600}, {"periodSeconds": "1s"}, {"periodSeconds": 0}],
    ),
    (
        "order",
        "env",
        [{"REFUND_WINDOW_SECONDS": 60}, {"OTEL_BSP_SCHEDULE_DELAY": "1000"}],
        [{"REFUND_WINDOW_SECOND": 60}, {"refund_window_seconds": 60}, {"RATE_LIMIT_REQUESTS": 1}],
    ),
    ("product", "env", [{"LOG_FORMAT": "json"}], [{"LOGFORMAT": "json"}]),
    ("console", "env", [{"INSECURE_COOKIE": "true"}], [{"INSECURE_COOKIES": "true"}]),
    ("gateway", "probes.liveness", [{"timeoutSeconds": 9}], [{"initialDelaySeconds": 5}]),
    (
        "gateway",
        "expose.loadBalancerSourceRanges",
        [["10.0.0.0/8", "fd00::/8"]],
        [["10.0.0.1"], "10.0.0.0/8"],
    ),
    (
        "gateway",
        "ingress.host",
        ["", "shop.example.com", "*.shop.example", "localhost"],
        [
            "https://shop.example.com",
            "shop.example.com/",
            "shop.example.com:443",
            "Shop.example",
            "a..b",
            "-a.b",
        ],
    ),
    (
        "gateway",
        "ingress.moreHosts",
        [[{"host": "shop.test"}]],
        [[{"host": ""}], [{"host": "shop_test"}], ["a"]],
    ),
    ("gateway", "httpRoute.hostnames", [["*.shop.example"]], [["https://shop.example"], "shop.example"]),
    ("mongodb", "persistence.size", ["8Gi", "1.5Ti", "8G"], ["8GB", "8 Gi", "eight", 8]),
    (
        "mongodb",
        "external.hosts",
        ["", "a.example:27017,b.example:27017"],
        ["mongodb://a.example", "u:p@a.example"],
    ),
    ("rabbitmq", "persistence.size", ["4Gi"], ["4GiB"]),
    ("rabbitmq", "replicaCount", [3], [2, 0]),
    (
        "rabbitmq",
        "external.host",
        ["", "broker.example", "10.0.0.7", "[fd00::7]"],
        ["amqps://broker.example", "broker.example:5671", "broker.example/shop"],
    ),
    ("rabbitmq", "external.managementUrl", ["", "https://broker.example:15671"], ["broker.example:15671"]),
    ("redis", "resources.limits", [{"memory": "192Mi"}], [{"memory": "192mb"}]),
    ("jaeger", "image.tag", ["2.13.0"], [2.13]),
    ("order", "podLabels", [{"team": "x"}], [{"app.kubernetes.io/name": "x"}, {"team": 1}]),
    ("mongodb", "podLabels", [{"team": "x"}], [{"sagashop.io/release": "x"}]),
    ("saga-operator", "resources.limits", [{"cpu": "1"}], [{"cpu": "one"}]),
    (
        "sagashop",
        "global.image.registry",
        ["", "registry.example/team", "localhost:5000", "1.dkr.ecr.eu.amazonaws.com"],
        ["https://registry.example/team", "registry.example/team/", "registry.example/Team"],
    ),
    ("sagashop", "global.imageRegistry", ["mirror.example:5000/docker"], ["http://mirror.example"]),
    ("sagashop", "global.image.tag", ["0.1.0"], ["v 1", 1]),
    ("sagashop", "global.clusterDomain", ["cluster.local"], ["cluster.local.", "", "svc/cluster.local"]),
    ("sagashop", "global.networkPolicy.apiServerPorts", [[443, 8443]], [["https"], [0], [], 443]),
    ("sagashop", "global.networkPolicy.dnsPorts", [[53, 5353]], [["53"], []]),
    (
        "sagashop",
        "global.networkPolicy.apiServerCidrs",
        [["10.96.0.1/32", "fd00::1/128"]],
        [["10.96.0.1"], ["10.96.0.1/33"], ["kubernetes.default.svc"], "10.96.0.1/32"],
    ),
    (
        "sagashop",
        "global.tracing.endpoint",
        ["", "http://collector:4318"],
        ["collector:4318", "grpc://collector"],
    ),
    ("sagashop", "global.tracing.sampleRatio", [0, 0.1, 1], [10, "0.1", -1]),
    ("sagashop", "global.metrics.interval", ["30s", "1m"], ["30", 30, "half a minute"]),
    ("sagashop", "global.tls.duration", ["2160h", "1h30m"], ["90d", "2160"]),
    ("sagashop", "global.stripe.returnUrl", ["", "https://shop.example/paid"], ["shop.example/paid"]),
    ("sagashop", "monitoring.rules.runbookUrl", ["https://runbooks.example"], ["runbooks.example"]),
    (
        "sagashop",
        "sagactl.check.schedule",
        ["17 * * * *", "*/5 0-6 * * 1,2", "@hourly"],
        ["hourly", "17 * * *", "1h"],
    ),
    ("sagashop", "sagactl.check.arguments", [["--since", "26h"]], [["--limit", 5], "--since 26h"]),
    ("sagashop", "sagactl.resources.limits", [{"memory": "384Mi"}], [{"memory": "384MB"}]),
    ("sagashop", "load.rate", [0.5, 5], [0, -1, "5"]),
    ("sagashop", "faults.every", ["5s", "1m30s"], ["5", "soon", 5]),
    ("sagashop", "faults.charts", [["order"]], [["orders"], [], ["mongodb"]]),
]
PLACES = [f"{chart}: {path}" for chart, path, *_ in CASES]


@pytest.mark.parametrize(("chart", "path", "right", "wrong"), CASES, ids=PLACES)
def test_a_value_is_taken_where_it_can_be_right_and_refused_where_not(
    chart: str, path: str, right: list[object], wrong: list[object]
) -> None:
    assert [value for value in right if refused(chart, path, value)] == []
    assert [value for value in wrong if not refused(chart, path, value)] == []
