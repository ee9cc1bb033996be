"""Stripe's own library, with the double at the other end instead of a network: calls get lost by dice."""

import asyncio
import json
from collections.abc import Mapping
from urllib.parse import parse_qsl, urlsplit

import stripe

from dev.simulate.clock import Process
from dev.simulate.dice import Dice, Fault
from dev.simulate.gateway import reach
from dev.stripe_double.ledger import Answer, StripeLedger


class DoubleClient(stripe.HTTPClient):
    """What the library sends goes to the ledger, from one process."""

    name = "double"

    def __init__(self, process: Process, dice: Dice, ledger: StripeLedger) -> None:
        super().__init__()
        self._process, self._dice, self._ledger = process, dice, ledger

    async def request_async(
        self, method: str, url: str, headers: Mapping[str, str], post_data: object = None
    ) -> tuple[bytes, int, dict[str, str]]:
        place = self._dice.at(f"{self._process.name}, gateway")
        fault = await reach(self._process, place)
        if fault is Fault.GATEWAY_DOWN:
            raise _lost("no way there")
        answer, replayed = self._answer(method, url, headers, post_data)
        if fault is Fault.GATEWAY_UNHEARD:
            raise _lost("no answer")
        # Encoded at once: what is in the ledger goes on changing.
        content = json.dumps(answer.body).encode()
        await asyncio.sleep(20 * place.latency())
        self._process.check()
        return content, answer.status, {"idempotent-replayed": "true"} if replayed else {}

    def _answer(
        self, method: str, url: str, headers: Mapping[str, str], post_data: object
    ) -> tuple[Answer, bool]:
        parts = urlsplit(url)
        if method.lower() == "post":
            form = post_data.decode() if isinstance(post_data, bytes) else str(post_data or "")
            return self._ledger.post(parts.path, form, headers.get("Idempotency-Key"))
        return self._ledger.get(parts.path, dict(parse_qsl(parts.query))), False

    async def close_async(self) -> None:
        """There is nothing to close."""


def _lost(why: str) -> stripe.APIConnectionError:
    return stripe.APIConnectionError(why)  # type: ignore[no-untyped-call]  # the library says no type of it
