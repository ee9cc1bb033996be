"""Logs: one JSON object per line for machines, aligned columns on a terminal for people.

A line says what happened, of which service, in which trace, for which request, about which order.
"""

import json
import logging
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, Literal

import msgspec

from services.shared import console, emails, telemetry
from services.shared.brevity import in_short

Format = Literal["auto", "console", "json"]
# What every record has; whatever else is on one was said by who logs.
_STANDARD: Final = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}
# Below these levels they tell of themselves, and not of the shop. Reconnecting is logged by us.
QUIET: Final = {
    "aio_pika": logging.ERROR,
    "aiormq": logging.ERROR,
    "pymongo": logging.ERROR,
    "uvicorn": logging.WARNING,
}
_NO_TEXT: Final = (int, float, datetime, type(None))
_encode: Final = msgspec.json.Encoder(enc_hook=str).encode


class Lines:
    """As the message of a record: several lines at once, for the price of one. Each has a `message`."""

    def __init__(self, lines: Sequence[Mapping[str, Any]]) -> None:
        self.lines = lines

    def __str__(self) -> str:
        return "\n".join(line["message"] for line in self.lines)


def setup(service: str, *, level: str, form: Format = "auto") -> None:
    """Configures the logs of this process. `form` "auto": for people where stdout is a terminal."""
    readable = form == "console" or (form == "auto" and sys.stdout.isatty())
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(_Readable(service) if readable else Structured(service))
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    for name, least in QUIET.items():
        logging.getLogger(name).setLevel(least)
    logging.getLogger("aiormq.connection").addFilter(_is_no_failed_attempt)


def _is_no_failed_attempt(record: logging.LogRecord) -> bool:
    """Who connects is told by an exception and logs it: to the library each attempt is an error, too."""
    return not str(record.msg).startswith("error when creating transport")


class Structured(logging.Formatter):
    """One JSON object per line."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        common = {
            "timestamp": datetime.fromtimestamp(record.created, UTC),
            "level": record.levelname.lower(),
            "service": self._service,
            "logger": record.name,
        }
        return "\n".join(self.render({**common, **_anonymous(said)}) for said in self._said(record))

    def render(self, line: Mapping[str, Any]) -> str:
        try:
            return _encode(line).decode()
        except (ValueError, TypeError, OverflowError):
            # Half a surrogate pair, an integer of more than 64 bits: a line is never lost for its contents.
            return json.dumps(line, default=str)

    def _said(self, record: logging.LogRecord) -> Sequence[Mapping[str, Any]]:
        if isinstance(record.msg, Lines):
            return record.msg.lines
        fields: dict[str, Any] = {"message": in_short(record.getMessage())}
        if trace_id := telemetry.trace_id(telemetry.current_traceparent()):
            fields["trace_id"] = trace_id
        if request_id := telemetry.current_request_id():
            fields["request_id"] = request_id
        fields |= {name: value for name, value in record.__dict__.items() if name not in _STANDARD}
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return [fields]


def _anonymous(line: Mapping[str, Any]) -> Mapping[str, Any]:
    """Whoever reads logs need not know who the customers are, and an exception may quote anything."""
    if not any(_may_name(value) for value in line.values()):
        return line
    return {name: emails.hidden(str(value)) if _may_name(value) else value for name, value in line.items()}


def _may_name(value: object) -> bool:
    """Whether there is an address in it, as itself or in a URL."""
    text = value if isinstance(value, str) else "" if isinstance(value, _NO_TEXT) else str(value)
    return "@" in text or "%40" in text


class _Readable(Structured):
    """The same for people; in colours, where it is shown on a terminal."""

    def render(self, line: Mapping[str, Any]) -> str:
        return console.render(line, colours=sys.stdout.isatty())
