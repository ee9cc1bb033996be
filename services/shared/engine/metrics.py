"""What an engine counts. Here, so that a service without one has no such metrics: 0 would be an alarm."""

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Final

from prometheus_client import Counter, Gauge, Histogram

from services.shared.contract.decisions import Verdict
from services.shared.contract.events import PUBLISHES, Event
from services.shared.contract.identity import HTTP
from services.shared.engine.confirms import Outcome
from services.shared.engine.envelope import DEAD_AT_ONCE, KINDS, NEVER_DEAD
from services.shared.engine.faults import Fault
from services.shared.telemetry import LATENCY_BUCKETS, at_zero

COMMITTED: Final = "committed"
# The type of what cannot be read.
UNREADABLE: Final = "unknown"

BATCH_SIZE: Final = Histogram(
    "sagashop_commit_batch_size", "Messages in a transaction", buckets=(1, 2, 5, 10, 20, 50, 100, 200)
)
COMMIT_DURATION: Final = Histogram(
    "sagashop_commit_duration_seconds", "From batch to commit, retries included", buckets=LATENCY_BUCKETS
)
TRANSACTIONS: Final = Counter("sagashop_transactions_total", "Transactions by how they ended", ["result"])
DUPLICATES: Final = Counter("sagashop_duplicates_total", "Messages handled before", ["source"])
ATTENTION: Final = Counter("sagashop_attention_total", "Messages that contradict what happened", ["source"])
CONSUMED: Final = Counter("sagashop_consumed_total", "Messages settled", ["queue", "type", "result"])
EVENT_AGE: Final = Histogram(
    "sagashop_event_age_seconds",
    "From a message's publishing to the commit that handled it",
    ["queue"],
    # The broker's timestamps are whole seconds.
    buckets=(1, 2, 5, 10, 30, 60, 300, 900, 3600),
)
WAITING: Final = Gauge("sagashop_commit_waiting", "What waits for its batch", ["kind"])
COMMANDS_REFUSED: Final = Counter("sagashop_commands_refused_total", "Commands refused since too many waited")
RETRIES: Final = Counter(
    "sagashop_consumer_retries_total", "Messages sent to a retry queue", ["queue", "kind"]
)
DEAD_LETTERS: Final = Counter("sagashop_dead_letters_total", "Messages sent to a .dlq", ["queue", "kind"])
PUBLISHED: Final = Counter("sagashop_published_total", "Events confirmed by the broker", ["type"])
PUBLISH_FAILURES: Final = Counter(
    "sagashop_publish_failures_total", "Events not confirmed, or without a queue", ["type", "reason"]
)
# To look a series up by its labels costs as much as to count.
published = cache(PUBLISHED.labels)
OUTBOX_ROWS: Final = Gauge("sagashop_outbox_rows", "Batches whose events are not all published yet")
OUTBOX_CLAIMED: Final = Counter("sagashop_outbox_claimed_total", "Batches published after their lease ended")
OUTBOX_AGE: Final = Gauge("sagashop_outbox_oldest_seconds", "Age of the oldest unpublished event")
BROKER_UP: Final = Gauge("sagashop_broker_connected", "1 while connected for publishing and consuming")


def begin(
    service: str, subscriptions: Mapping[str, Iterable[type[Event]]], others: Iterable[str] = ()
) -> None:
    """Makes the series that the service may ever have. `others`: sources of messages that are no queues."""
    sources = [HTTP, *subscriptions, *others]
    published_types = [event.type for event in PUBLISHES.get(service, ())]
    at_zero(TRANSACTIONS, [COMMITTED, *Fault])
    at_zero(DUPLICATES, sources)
    at_zero(ATTENTION, sources)
    at_zero(PUBLISHED, published_types)
    at_zero(PUBLISH_FAILURES, published_types, set(Outcome) - {Outcome.CONFIRMED})
    at_zero(EVENT_AGE, subscriptions)
    at_zero(DEAD_LETTERS, subscriptions, set(KINDS) - {NEVER_DEAD})
    at_zero(RETRIES, subscriptions, set(KINDS) - DEAD_AT_ONCE)
    at_zero(CONSUMED, subscriptions, [UNREADABLE], ["invalid"])
    for queue, events in subscriptions.items():
        at_zero(CONSUMED, [queue], [event.type for event in events], [*Verdict, *KINDS])
