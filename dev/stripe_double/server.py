"""The double as a server, on loopback: answers may be lost, late, or never come."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum

from aiohttp import web

from dev.stripe_double.ledger import Answer, StripeLedger

LOOPBACK = "127.0.0.1"


class Mishap(StrEnum):
    """What becomes of a request."""

    NOTHING = "nothing"
    # It does not arrive.
    DOWN = "down"
    # It was done, and its answer is an error, or nothing.
    BROKEN = "broken"
    # Nothing was done, and whoever asks again with the key is answered the same.
    BROKEN_FOR_GOOD = "broken for good"
    HANGS = "hangs"


@dataclass
class StripeDouble:
    ledger: StripeLedger = field(default_factory=StripeLedger)
    # What becomes of the next requests, in turn; then nothing does.
    mishaps: list[Mishap] = field(default_factory=list)
    # `POST /v1/refunds`, one for each request.
    requests: list[str] = field(default_factory=list)
    url: str = ""

    async def handle(self, request: web.Request) -> web.Response:
        self.requests.append(f"{request.method} {request.path}")
        if not request.headers.get("Authorization", "").startswith("Bearer sk_test_"):
            return _response(Answer(401, {"error": {"type": "invalid_request_error", "message": "No key"}}))
        mishap = self.mishaps.pop(0) if self.mishaps else Mishap.NOTHING
        if mishap is Mishap.DOWN:
            return _response(Answer(503, {"error": {"type": "api_error", "message": "down"}}))
        if mishap is Mishap.BROKEN_FOR_GOOD:
            form, key = (await request.read()).decode(), request.headers["Idempotency-Key"]
            broken = Answer(500, {"error": {"type": "api_error", "message": "broken"}})
            self.ledger.keys[key] = f"{request.path}?{form}", broken
        answer, replayed = await self._done(request)
        if mishap is Mishap.BROKEN:
            return _response(Answer(500, {"error": {"type": "api_error", "message": "broken"}}))
        if mishap is Mishap.HANGS:
            await asyncio.sleep(3600)
        return _response(answer, replayed=replayed)

    async def _done(self, request: web.Request) -> tuple[Answer, bool]:
        if request.method == "POST":
            form = (await request.read()).decode()
            return self.ledger.post(request.path, form, request.headers.get("Idempotency-Key"))
        return self.ledger.get(request.path, request.query), False


def _response(answer: Answer, *, replayed: bool = False) -> web.Response:
    headers = {"Idempotent-Replayed": "true"} if replayed else {}
    # Encoded at once: what is in the ledger may change while it is sent.
    return web.Response(
        status=answer.status, text=json.dumps(answer.body), headers=headers, content_type="application/json"
    )


@asynccontextmanager
async def running(port: int = 0) -> AsyncIterator[StripeDouble]:
    """The double at its `url`; on any free port unless one is given."""
    double = StripeDouble()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", double.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, LOOPBACK, port)
        await site.start()
        host, bound = runner.addresses[0][:2]
        double.url = f"http://{host}:{bound}"
        yield double
    finally:
        await runner.cleanup()
