"""docs/metrics.md says of every metric what it is; and series are there before anything happens."""

import subprocess
import sys
from functools import cache
from typing import Final

import pytest

from services.shared.contract import topology
from services.shared.contract.events import CONSUMES
from tests.unit.metrics import documented, in_code

BEGUN: Final = """
import services.{service}.main
from prometheus_client import generate_latest
from services.shared.contract import topology
from services.shared.engine import metrics
metrics.begin("{service}", topology.subscriptions("{service}", auto_compensation=True))
print(generate_latest().decode())
"""


def test_every_metric_is_documented_as_it_is_and_no_other() -> None:
    assert dict(documented()) == in_code()


def test_no_metric_is_documented_twice() -> None:
    names = [metric.name for metric, _ in documented()]
    assert len(names) == len(set(names))


def test_no_two_metrics_share_a_name() -> None:
    names = [metric.name for metric in in_code()]
    assert len(names) == len(set(names))


@cache
def begun(service: str) -> dict[str, float]:
    """Series -> value, of a process of its own in which nothing has happened."""
    code = BEGUN.format(service=service)
    text = subprocess.run(  # noqa: S603  # our own
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    lines = [line.rpartition(" ") for line in text.splitlines() if line.startswith("sagashop_")]
    return {name: float(value) for name, _, value in lines}


@pytest.mark.parametrize("service", ["order", "payment"])
def test_the_first_of_a_kind_is_seen(service: str) -> None:
    """Its series is there before it, at zero: a counter that is born at 1 never rose."""
    found = begun(service)
    queues = topology.subscriptions(service, auto_compensation=True)
    wanted = [
        'sagashop_http_connections_refused_total{reason="malformed"}',
        'sagashop_transactions_total{result="conflict"}',
        *(f'sagashop_dead_letters_total{{kind="failed",queue="{queue}"}}' for queue in queues),
        *(f'sagashop_consumer_retries_total{{kind="deferred",queue="{queue}"}}' for queue in queues),
        *(f'sagashop_attention_total{{source="{source}"}}' for source in ("http", *CONSUMES[service])),
    ]
    if service == "order":
        wanted += [
            'sagashop_publish_failures_total{reason="no queue",type="ORDER_PAID"}',
            'sagashop_compensations_total{reason="SAGA_TIMEOUT"}',
            'sagashop_order_transitions_total{from="none",to="PENDING"}',
            'sagashop_order_transitions_total{from="CONFIRMED",to="PAID"}',
            'sagashop_saga_duration_seconds_bucket{le="10.0",outcome="PAID"}',
        ]
    assert {name: found.get(name) for name in wanted} == dict.fromkeys(wanted, 0.0)


def test_nothing_is_told_of_when_a_series_was_born() -> None:
    assert not [name for name in begun("order") if "_created" in name]
