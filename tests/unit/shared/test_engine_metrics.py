"""What a service without a broker counts: nothing of one."""

import pytest

from tests.unit.metrics import in_code


def metrics_of(service: str) -> set[str]:
    return {metric.name for metric, services in in_code().items() if service in services}


@pytest.mark.parametrize("service", ["gateway", "auth"])
def test_who_has_no_broker_has_no_metrics_of_one(service: str) -> None:
    names = metrics_of(service)
    assert "sagashop_http_request_duration_seconds" in names
    assert not [name for name in names if any(word in name for word in ("broker", "outbox", "commit"))]


def test_who_has_one_does() -> None:
    assert {"sagashop_broker_connected", "sagashop_outbox_rows"} <= metrics_of("notification")
