"""Logs are JSON, one object a line, and say which service and which trace they belong to."""

import json
import subprocess
import sys
from typing import Any

import pytest

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def printed(script: str, **options: str) -> list[str]:
    """By a process of its own: setting up logs concerns all of them in a process."""
    program = (
        "import logging\n"
        "from services.shared import logs, telemetry\n"
        f"logs.setup('order', level='info', **{options})\n"
        f"log = logging.getLogger('services.order')\n{script}"
    )
    done = subprocess.run(  # noqa: S603  # our own program
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout.splitlines()


def logged(script: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in printed(script)]


def test_a_line_names_its_service_its_trace_and_what_it_is_about() -> None:
    (line,) = logged(
        f"with telemetry.within('{TRACEPARENT}', None, 'r-1'):\n"
        "    log.warning('%s is late', 'PAYMENT_SUCCEEDED', extra={'order_id': 'order-1'})\n"
    )
    assert line["message"] == "PAYMENT_SUCCEEDED is late"
    assert (line["service"], line["level"], line["logger"]) == ("order", "warning", "services.order")
    assert line["order_id"] == "order-1"
    assert line["trace_id"] == "0af7651916cd43dd8448eb211c80319c"
    assert line["request_id"] == "r-1"
    assert line["timestamp"].endswith("Z")


def test_a_line_outside_of_any_trace_names_none() -> None:
    (line,) = logged("log.info('started')\n")
    assert "trace_id" not in line


def test_an_error_is_one_line_with_its_traceback() -> None:
    (line,) = logged("try:\n    1 / 0\nexcept ZeroDivisionError:\n    log.exception('failed')\n")
    assert line["message"] == "failed"
    assert "ZeroDivisionError: division by zero" in line["exception"]


@pytest.mark.parametrize("form", ["json", "console"])
def test_no_address_is_ever_logged_whoever_quotes_it(form: str) -> None:
    lines = printed(
        "try:\n"
        "    raise ValueError('duplicate key: { email: \"ada@x.example\" }')\n"
        "except ValueError:\n"
        "    log.exception('for %s', 'Ada+Tea@X.example', \n"
        "        extra={'path': '/a?email=ada%40x.example&b=1', 'to': ['ada@x.example'], 'n': 1})\n",
        form=repr(form),
    )
    text = "\n".join(lines)
    assert "x.example" not in text.lower()
    assert "***" in text
    if form == "json":
        (line,) = map(json.loads, lines)
        assert line["message"] == "for ***"
        assert line["path"] == "***&b=1"


def test_a_level_below_the_one_that_is_set_is_not_printed() -> None:
    assert logged("log.debug('a detail')\nlogging.getLogger('pymongo').warning('reconnecting')\n") == []


@pytest.mark.parametrize(
    "value",
    ["'\\ud800'", "2**70", "{1: 2, (3, 4): 5}", "object()"],
    ids=["surrogate", "large", "keys", "object"],
)
def test_no_value_loses_a_line(value: str) -> None:
    (line,) = logged(f"log.info('kept', extra={{'odd': {value}}})\n")
    assert line["message"] == "kept"
    assert line["odd"]


def test_a_record_of_several_lines_is_several_lines_with_the_same_head() -> None:
    told = "[{'message': 'PENDING', 'order_id': 'o-1'}, {'message': 'PAID', 'order_id': 'o-2'}]"
    lines = logged(f"log.info(logs.Lines({told}))\n")
    assert [(line["message"], line["order_id"]) for line in lines] == [("PENDING", "o-1"), ("PAID", "o-2")]
    assert {(line["service"], line["level"]) for line in lines} == {("order", "info")}


def test_servers_of_libraries_do_not_tell_of_themselves() -> None:
    assert logged("logging.getLogger('uvicorn.error').info('Started server process')\n") == []


def test_an_attempt_to_reach_a_broker_that_is_down_is_no_error() -> None:
    attempt = (
        "import asyncio, aiormq\n"
        "try:\n    asyncio.run(aiormq.connect('amqp://127.0.0.1:1/'))\n"
        "except ConnectionError as error:\n    log.warning('unavailable: %s', error)\n"
    )
    assert [line["level"] for line in logged(attempt)] == ["warning"]


def test_for_people_a_line_is_no_json() -> None:
    (line,) = printed("log.warning('late', extra={'order_id': 'o-1'})\n", form="console")
    assert line.split()[1:] == ["WARNING", "order", "late", "order_id=o-1"]


def test_without_a_terminal_lines_are_json() -> None:
    (line,) = printed("log.warning('late')\n", form="auto")
    assert json.loads(line)["message"] == "late"


def test_on_a_terminal_lines_are_for_people() -> None:
    """A pseudo-terminal stands in for somebody's."""
    script = "import pty, sys; sys.exit(pty.spawn([sys.executable, '-c', sys.argv[1]]))"
    program = (
        "import logging; from services.shared import logs; logs.setup('order', level='info');"
        "logging.getLogger('x').info('started')"
    )
    done = subprocess.run(  # noqa: S603  # our own program
        [sys.executable, "-c", script, program], capture_output=True, text=True, check=True, timeout=60
    )
    assert "\x1b[32mINFO   \x1b[0m" in done.stdout
    assert "started" in done.stdout
