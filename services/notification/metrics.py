"""What is watched of mail on its way out, and of webhooks."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Final

from prometheus_client import Gauge, Histogram

from services.notification import queries
from services.notification.deliveries import Answer
from services.notification.endpoints import Endpoint, EndpointState
from services.shared.database.counting import age
from services.shared.engine.life import Engine
from services.shared.mail.metrics import BACKLOG
from services.shared.telemetry import at_zero

ENDPOINTS: Final = Gauge("sagashop_webhook_endpoints", "Endpoints that webhooks are for", ["state"])
FAILING: Final = Gauge(
    "sagashop_webhook_endpoints_failing_seconds",
    "For how long nothing was delivered to an endpoint that is enabled, at most; 0: none fails",
)
DELIVERIES: Final = Gauge("sagashop_webhook_deliveries_waiting", "Deliveries of webhooks to be made")
UNTOLD: Final = Gauge(
    "sagashop_webhook_untold_oldest_seconds",
    "For how long something that happened waits to be made deliveries of, at most; 0: nothing does",
)
CALLS: Final = Histogram(
    "sagashop_webhook_call_duration_seconds",
    "Calls of endpoints, by what came of them",
    ["result"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15, 20),
)
RESULTS: Final = ("delivered", "failed", "gone", "unanswered")
at_zero(CALLS, RESULTS)


def observe_call(answer: Answer, seconds: float) -> None:
    CALLS.labels(result_of(answer)).observe(seconds)


def result_of(answer: Answer) -> str:
    """One of RESULTS."""
    if answer.status is None:
        return "unanswered"
    if answer.is_gone:
        return "gone"
    return "delivered" if answer.is_success else "failed"


async def count(engine: Engine) -> None:
    """Sets the gauges. Raises PyMongoError."""
    store, now = engine.store, engine.clock.now()
    since = await queries.oldest_waiting(store)
    BACKLOG.show(await queries.count_waiting(store), since, now)
    endpoints = await queries.endpoints(store)
    for state in (EndpointState.ENABLED, EndpointState.DISABLED):
        ENDPOINTS.labels(state).set(sum(each.state is state for each in endpoints))
    FAILING.set(max((age(since, now) for since in _failing_since(endpoints)), default=0))
    DELIVERIES.set(await queries.count_deliveries(store))
    UNTOLD.set(age(await queries.oldest_untold(store), now))


def _failing_since(endpoints: Iterable[Endpoint]) -> Iterator[datetime]:
    for endpoint in endpoints:
        if endpoint.state is EndpointState.ENABLED and endpoint.failing_since is not None:
            yield endpoint.failing_since
