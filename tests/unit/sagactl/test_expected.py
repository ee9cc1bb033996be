"""What the checker is told to expect."""

import pytest

from sagactl.oncall.broker import vhost_of
from sagactl.oncall.check import Known
from sagactl.oncall.invariants import Invariant


@pytest.mark.parametrize(
    ("text", "known"),
    [
        ("order-1", Known("order-1", Invariant.EXPLAINED)),
        ("MONEY_AGREES:order-1", Known("order-1", Invariant.MONEY_AGREES)),
        ("I3:order-1", Known("order-1", Invariant.MONEY_AGREES)),
        ("DRAINED:outbox of order", Known("outbox of order", Invariant.DRAINED)),
    ],
)
def test_an_expectation_names_an_invariant_and_whom_it_is_about(text: str, known: Known) -> None:
    assert Known.parse(text) == known


def test_an_invariant_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="order"):
        Known.parse("order:1")


@pytest.mark.parametrize(
    ("url", "vhost"),
    [
        ("amqp://u:p@host:5672", "/"),
        ("amqp://u:p@host:5672/", "/"),
        ("amqp://u:p@host/%2F?heartbeat=2", "/"),
        ("amqp://host/shop", "shop"),
    ],
)
def test_the_vhost_is_the_urls_path(url: str, vhost: str) -> None:
    assert vhost_of(url) == vhost
