"""How a log line looks to a person: a short time, the level, the service, what happened, to which order."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

DIM: Final = "2"
LEVELS: Final = {"debug": DIM, "info": "32", "warning": "33", "error": "31", "critical": "1;31"}
SERVICES: Final = {
    "gateway": "34",
    "auth": "90",
    "order": "36",
    "inventory": "35",
    "payment": "33",
    "notification": "94",
    "product": "32",
}
# Widths of the columns: of the longest level, service, and most messages.
LEVEL: Final = 7
SERVICE: Final = 12
MESSAGE: Final = 52
# Said by the columns and the message; or of use to machines alone.
_SAID: Final = frozenset(
    {
        *("timestamp", "level", "service", "logger", "message", "exception"),
        *("event", "from", "to", "reason", "event_id", "trace_id"),
        *("method", "path", "route", "status", "detail", "duration_ms"),
    }
)


def render(line: Mapping[str, Any], *, colours: bool, without: frozenset[str] = frozenset()) -> str:
    """`line` as one line, and below it its traceback. `without`: fields that go without saying."""

    def styled(text: str, style: str) -> str:
        return f"\x1b[{style}m{text}\x1b[0m" if colours and style and text else text

    level, service = str(line.get("level", "info")), str(line.get("service", ""))
    # What an order is called says more than the request that it came from.
    left_out = _SAID | without | ({"request_id"} if "order_id" in line else frozenset())
    fields = " ".join(f"{name}={_safe(value)}" for name, value in line.items() if name not in left_out)
    columns = (
        styled(_time(line.get("timestamp")), DIM),
        styled(f"{level.upper():{LEVEL}}", LEVELS.get(level, "")),
        styled(f"{service:{SERVICE}}", SERVICES.get(service.partition("-")[0], "")),
        f"{_safe(line.get('message', '')):{MESSAGE if fields else 0}}",
        styled(fields, DIM),
    )
    exception = line.get("exception")
    return " ".join(columns).rstrip() + (f"\n{exception}" if exception else "")


def _time(timestamp: object) -> str:
    """As it is on the reader's own clock; what is no time is left blank."""
    try:
        moment = timestamp if isinstance(timestamp, datetime) else datetime.fromisoformat(str(timestamp))
    except ValueError:
        return " " * 12
    return f"{moment.astimezone():%H:%M:%S.%f}"[:12]


def _safe(value: object) -> str:
    """On one line, and without the control characters by which a stranger's text could repaint the screen."""
    text = str(value)
    return text if text.isprintable() else "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)
