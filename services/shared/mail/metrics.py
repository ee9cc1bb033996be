"""What is watched of mail on its way out."""

from typing import Final

from prometheus_client import Gauge, Histogram

from services.shared.database.counting import Backlog
from services.shared.telemetry import at_zero

WAITING: Final = Gauge("sagashop_mails_waiting", "Mails that the mail server has not taken on yet")
OLDEST: Final = Gauge(
    "sagashop_mails_oldest_seconds", "For how long a mail has waited, at most; 0: none is waiting"
)
BACKLOG: Final = Backlog(WAITING, OLDEST)
DURATION: Final = Histogram(
    "sagashop_mail_duration_seconds",
    "Mails handed to the mail server, with the wait for a connection",
    ["result"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)
at_zero(DURATION, ["sent", "failed", "deferred"])
