"""What an engine counts. Here, so that a service without one has no such metrics: 0 would be an alarm."""

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

from services.shared.telemetry import LATENCY_BUCKETS

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
RETRIES: Final = Counter(
    "sagashop_consumer_retries_total", "Messages sent to a retry queue", ["queue", "kind"]
)
DEAD_LETTERS: Final = Counter("sagashop_dead_letters_total", "Messages sent to a .dlq", ["queue", "kind"])
PUBLISHED: Final = Counter("sagashop_published_total", "Events confirmed by the broker", ["type"])
PUBLISH_FAILURES: Final = Counter(
    "sagashop_publish_failures_total", "Events not confirmed, or without a queue", ["type", "reason"]
)
OUTBOX_ROWS: Final = Gauge("sagashop_outbox_rows", "Batches whose events are not all published yet")
OUTBOX_CLAIMED: Final = Counter("sagashop_outbox_claimed_total", "Batches published after their lease ended")
OUTBOX_AGE: Final = Gauge("sagashop_outbox_oldest_seconds", "Age of the oldest unpublished event")
BROKER_UP: Final = Gauge("sagashop_broker_connected", "1 while connected for publishing and consuming")
