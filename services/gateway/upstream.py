"""A service behind the gateway: a request goes on to it, and its answer back, whole or as it comes."""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from http import HTTPStatus
from typing import Final, NamedTuple

import aiohttp
from fastapi import Response
from prometheus_client import Histogram
from starlette.types import Receive, Scope, Send
from yarl import URL

from services.gateway.forwarding import back, onward
from services.shared.contract.codes import Code
from services.shared.http.answers import CAUSE, EVENTS, PASSED_ON
from services.shared.http.problems import problem
from services.shared.telemetry import LATENCY_BUCKETS, at_zero

# Shorter than the services keep idle connections (shared/http/serving.py): none is used while being closed.
KEEP_ALIVE_SECONDS: Final = 15.0
CONNECT_SECONDS: Final = 2.0
# Passed on as the caller sent them; not added where they are missing.
_NOT_ADDED: Final = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")
_WITHOUT_BODY: Final = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED})
# A stream that says nothing for so long is taken for dead: a service sends a sign of life more often.
SILENT_SECONDS: Final = 60.0
UPSTREAM_DURATION: Final = Histogram(
    "sagashop_upstream_request_duration_seconds",
    "Requests passed on to a service, until its answer has arrived or, for a stream, has begun",
    ["upstream", "result"],
    buckets=LATENCY_BUCKETS,
)
# To look a series up by its labels costs as much as to count.
_series = cache(UPSTREAM_DURATION.labels)
UNAVAILABLE, TOO_SLOW, BROKE_OFF = "unavailable", "too slow", "broke off"
# What it answers, by the hundred; or why it does not.
RESULTS: Final = ("1xx", "2xx", "3xx", "4xx", "5xx", UNAVAILABLE, TOO_SLOW, BROKE_OFF)


def begin(services: Iterable[str]) -> None:
    """Makes the series of these services."""
    at_zero(UPSTREAM_DURATION, services, RESULTS)


def make_session() -> aiohttp.ClientSession:
    """Make a session for requests on behalf of others: nothing is remembered, followed, decoded or added."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_ALIVE_SECONDS),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
        auto_decompress=False,
        skip_auto_headers=_NOT_ADDED,
    )


class Call(NamedTuple):
    scope: Scope
    body: bytes
    # Headers that the gateway adds.
    own: Mapping[str, str]
    # What the caller is told of its budget.
    counted: Mapping[str, str]


class Upstream(NamedTuple):
    service: str
    url: str
    session: aiohttp.ClientSession
    # Until the answer has arrived or, for a stream, has begun.
    timeout_seconds: float
    # When it is set, streams end.
    stopping: asyncio.Event

    async def answer(self, call: Call, receive: Receive, send: Send) -> Response | None:
        """Let the service answer, or return the problem to answer with instead."""
        started = time.perf_counter()

        def measure(result: str) -> None:
            _series(self.service, result).observe(time.perf_counter() - started)

        try:
            await self._answer(call, receive, send, measure)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            measure(UNAVAILABLE)
            call.scope[CAUSE] = error
            return problem(Code.UNAVAILABLE, f"the {self.service} service is unavailable")
        except TimeoutError:
            measure(TOO_SLOW)
            return problem(Code.SERVICE_TOO_SLOW, f"the {self.service} service takes too long")
        except aiohttp.ClientError as error:
            measure(BROKE_OFF)
            call.scope[CAUSE] = error
            detail = f"{self.service} broke off, and may have done what was asked"
            return problem(Code.SERVICE_BROKE_OFF, detail)
        return None

    async def _answer(self, call: Call, receive: Receive, send: Send, measure: Callable[[str], None]) -> None:
        method: str = call.scope["method"]
        request = self.session.request(
            method,
            self._target(call.scope),
            headers=onward(call.scope["headers"], call.own),
            data=call.body or None,
            allow_redirects=False,
        )
        async with asyncio.timeout(self.timeout_seconds) as deadline, request as answer:
            whole = None if _is_stream(method, answer) else await answer.read()
            deadline.reschedule(None)
            measure(f"{answer.status // 100}xx")
            call.scope[PASSED_ON] = True
            told = [(name.lower().encode(), value.encode()) for name, value in call.counted.items()]
            headers = back(answer.raw_headers) + told
            await send({"type": "http.response.start", "status": answer.status, "headers": headers})
            if whole is None:
                await _relay(answer, self.stopping, receive, send)
            await send({"type": "http.response.body", "body": whole or b""})

    def _target(self, scope: Scope) -> URL:
        query = b"?" + scope["query_string"] if scope["query_string"] else b""
        return URL(self.url + (scope["raw_path"] + query).decode("latin-1"), encoded=True)


def _is_stream(method: str, answer: aiohttp.ClientResponse) -> bool:
    return answer.content_length is None and method != "HEAD" and answer.status not in _WITHOUT_BODY


async def _relay(
    answer: aiohttp.ClientResponse, stopping: asyncio.Event, receive: Receive, send: Send
) -> None:
    """Pass on the body until either side ends it."""
    over = asyncio.create_task(_over(stopping, receive))
    over.add_done_callback(lambda _: answer.close())
    try:
        async with asyncio.timeout(SILENT_SECONDS) as silence:
            async for chunk in answer.content.iter_any():
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
                silence.reschedule(asyncio.get_running_loop().time() + SILENT_SECONDS)
    except (aiohttp.ClientError, TimeoutError) as error:
        # A reader of events connects again. Any other body would look complete: the connection has to break.
        if not over.done() and answer.content_type != EVENTS:
            raise Truncated(f"{answer.url.path}: {error!r}") from error
    finally:
        over.cancel()


class Truncated(Exception):  # a state of affairs
    """The answer has begun, and cannot be completed."""


async def _over(stopping: asyncio.Event, receive: Receive) -> None:
    """Wait until the caller hangs up or the process is to end."""
    tasks = (asyncio.create_task(stopping.wait()), asyncio.create_task(_hung_up(receive)))
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()


async def _hung_up(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
