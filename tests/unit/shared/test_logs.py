"""Logs are JSON, one object a line, and say which service and which trace they belong to."""

import json
import subprocess
import sys
from typing import Any

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def logged(script: str) -> list[dict[str, Any]]:
    """What a process of its own prints: setting up logs concerns all of them in a process."""
    program = (
        "import logging\n"
        "from services.shared import telemetry\n"
        "telemetry.setup('order', level='info')\n"
        f"log = logging.getLogger('services.order')\n{script}"
    )
    done = subprocess.run(  # noqa: S603  # our own program
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_line_names_its_service_its_trace_and_what_it_is_about() -> None:
    (line,) = logged(
        f"with telemetry.within('{TRACEPARENT}'):\n"
        "    log.warning('%s is late', 'PAYMENT_SUCCEEDED', extra={'correlation_id': 'order-1'})\n"
    )
    assert line["message"] == "PAYMENT_SUCCEEDED is late"
    assert (line["service"], line["level"], line["logger"]) == ("order", "warning", "services.order")
    assert line["correlation_id"] == "order-1"
    assert line["trace_id"] == "0af7651916cd43dd8448eb211c80319c"
    assert line["timestamp"].endswith("Z")


def test_a_line_outside_of_any_trace_names_none() -> None:
    (line,) = logged("log.info('started')\n")
    assert "trace_id" not in line


def test_an_error_is_one_line_with_its_traceback() -> None:
    (line,) = logged("try:\n    1 / 0\nexcept ZeroDivisionError:\n    log.exception('failed')\n")
    assert line["message"] == "failed"
    assert "ZeroDivisionError: division by zero" in line["exception"]


def test_a_level_below_the_one_that_is_set_is_not_printed() -> None:
    assert logged("log.debug('a detail')\nlogging.getLogger('pymongo').warning('reconnecting')\n") == []
