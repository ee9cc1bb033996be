"""What a service without a broker counts: nothing of one."""

import subprocess
import sys

import pytest

NAMES = "import {main}; from prometheus_client import REGISTRY; print(*(m.name for m in REGISTRY.collect()))"


def metrics_of(main: str) -> set[str]:
    """The names of all metrics of a process of its own that has loaded this module."""
    listed = subprocess.run(  # noqa: S603  # our own names
        [sys.executable, "-c", NAMES.format(main=main)], capture_output=True, text=True, check=True
    )
    return {name for name in listed.stdout.split() if name.startswith("sagashop_")}


@pytest.mark.parametrize("service", ["gateway", "auth"])
def test_who_has_no_broker_has_no_metrics_of_one(service: str) -> None:
    names = metrics_of(f"services.{service}.main")
    assert "sagashop_http_request_duration_seconds" in names
    assert not [name for name in names if any(word in name for word in ("broker", "outbox", "commit"))]


def test_who_has_one_does() -> None:
    assert {"sagashop_broker_connected", "sagashop_outbox_rows"} <= metrics_of("services.notification.main")
