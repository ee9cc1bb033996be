"""What every request gets, whatever becomes of it: an id on its answer, and a line where it failed."""

import asyncio
import json
import logging
import time
from typing import Any

import pytest
from prometheus_client import REGISTRY, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.shared.contract.codes import Code
from services.shared.http.problems import problem
from services.shared.http.requests import RequestScope

ANSWERS = "services.shared.http.answers"


async def asked(
    app: ASGIApp, path: str = "/api/orders", method: str = "GET", **headers: str
) -> list[Message]:
    """All that is sent in answer to a request without a body."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    scope: dict[str, Any] = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"secret=1",
        "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()],
    }
    await RequestScope(app)(scope, receive, send)
    return sent


async def refusing(scope: Scope, receive: Receive, send: Send) -> None:
    await problem(Code.STATE_FORBIDS, "the order is paid: ask for a refund instead")(scope, receive, send)


async def unavailable(scope: Scope, receive: Receive, send: Send) -> None:
    await problem(Code.UNAVAILABLE, "the database is unavailable")(scope, receive, send)


async def failing(_scope: Scope, _receive: Receive, _send: Send) -> None:
    raise LookupError("a bug")


async def breaking_off(_scope: Scope, _receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    raise LookupError("a bug")


async def hung_up(_scope: Scope, _receive: Receive, _send: Send) -> None:
    return


async def test_a_refused_request_is_one_line_with_its_reason(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    start, _ = await asked(refusing, x_request_id="r-1")
    assert (b"x-request-id", b"r-1") in start["headers"]
    (record,) = caplog.records
    assert (record.name, record.levelname) == (ANSWERS, "INFO")
    assert record.getMessage() == "GET /api/orders -> 409: the order is paid: ask for a refund instead"
    assert "secret" not in str(record.__dict__)


async def test_what_is_unavailable_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    await asked(unavailable)
    assert [record.levelname for record in caplog.records] == ["WARNING"]


async def test_a_fault_of_ours_is_a_problem_with_an_id_and_one_error_with_its_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    start, body = await asked(failing, x_request_id="r-1")
    assert (start["status"], json.loads(body["body"])["status"]) == (500, 500)
    assert (b"x-request-id", b"r-1") in start["headers"]
    (record,) = caplog.records
    assert record.levelname == "ERROR"
    assert record.exc_info is not None
    assert record.__dict__["cause"] == "LookupError: a bug"


async def test_an_answer_that_breaks_off_is_an_error_and_does_not_look_complete(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert len(await asked(breaking_off)) == 1
    (record,) = caplog.records
    assert (record.levelname, record.getMessage()) == (
        "ERROR",
        "GET /api/orders -> 200: the answer was broken off",
    )


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
async def test_a_probe_is_no_line(caplog: pytest.LogCaptureFixture, path: str) -> None:
    caplog.set_level(logging.INFO)
    start, _ = await asked(unavailable, path, x_request_id="r-1")
    assert (b"x-request-id", b"r-1") in start["headers"]
    assert not caplog.records


async def test_a_caller_who_hangs_up_is_no_failure(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    assert await asked(hung_up) == []
    assert not caplog.records


async def test_a_caller_who_hangs_up_is_counted_as_such_and_not_as_our_fault() -> None:
    def counted(status: str) -> float:
        labels = {"method": "GET", "route": "none", "status": status}
        return REGISTRY.get_sample_value("sagashop_http_request_duration_seconds_count", labels) or 0

    faults, hung_up_before = counted("500"), counted("499")
    await asked(hung_up)
    assert (counted("500"), counted("499")) == (faults, hung_up_before + 1)


async def streaming(scope: Scope, _receive: Receive, send: Send) -> None:
    scope["route"] = type("Route", (), {"path": "/a-stream"})
    kind = (b"content-type", b"text/event-stream; charset=utf-8")
    await send({"type": "http.response.start", "status": 200, "headers": [kind]})
    await asyncio.sleep(0.2)
    await send({"type": "http.response.body", "body": b""})


async def test_a_stream_took_until_it_began_however_long_it_lasts() -> None:
    began = time.perf_counter()
    await asked(streaming)
    all_of_it = time.perf_counter() - began
    labels = {"method": "GET", "route": "/a-stream", "status": "200"}
    took = REGISTRY.get_sample_value("sagashop_http_request_duration_seconds_sum", labels)
    assert took is not None
    assert took < all_of_it / 2  # all but the beginning was the stream


async def test_a_method_of_the_callers_choice_makes_no_series_of_its_own() -> None:
    for method in ("PROPFIND", "MKCOL", "PURGE"):
        await asked(refusing, method=method)
    text = generate_latest().decode()
    assert 'method="other"' in text
    assert "PROPFIND" not in text
