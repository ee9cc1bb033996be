"""Customers who order so many times a second, and do as they are told when they are refused."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from itertools import count
from typing import Any, Final

import aiohttp

from dev.survive.attempts import PLAYED, Attempt, Outcome, Till, body_of, outcome_of
from services.shared.waiting import happens

# Longer than the gateway waits for a service (15 s), so that it is the shop that gives up first.
PATIENCE_SECONDS: Final = 30.0
# How unequal the pauses between a customer's orders are.
SPREAD: Final = (0.7, 1.3)
ANSWER_LIMIT: Final = 200


class Traffic:
    """All attempts of one scenario."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        doors: Sequence[str],
        tokens: Sequence[str],
        products: Sequence[str],
        chance: random.Random,
        till: Till = PLAYED,
    ) -> None:
        self.doors = doors
        # Of the customers. One is good for a quarter of an hour.
        self.tokens = tokens
        self.attempts: list[Attempt] = []
        self._session, self._products, self._chance, self._till = session, products, chance, till
        self._numbers: Iterator[int] = count()
        self._closed = asyncio.Event()

    @property
    def accepted(self) -> list[Attempt]:
        return [attempt for attempt in self.attempts if attempt.outcome is Outcome.ACCEPTED]

    @asynccontextmanager
    async def flowing(self, orders_per_second: float) -> AsyncIterator[None]:
        """One customer for each order a second: one who waits for an answer orders nothing meanwhile.

        It ends when each customer has had the answer that he waits for.
        """
        customers = round(orders_per_second)
        self._closed.clear()
        tasks = [
            asyncio.create_task(self._shop(number, customers / orders_per_second))
            for number in range(customers)
        ]
        try:
            yield
        finally:
            self._closed.set()
            await asyncio.gather(*tasks)

    async def burst(self, orders: int, customers: int) -> None:
        """So many orders as fast as so many customers can place them."""
        turns = iter(range(orders))

        async def one_after_another(number: int) -> None:
            for _ in turns:
                await self._attempt(number)

        await asyncio.gather(*(one_after_another(number) for number in range(customers)))

    async def _shop(self, customer: int, pause: float) -> None:
        await self._pause(self._chance.uniform(0, pause))  # not all at once
        while not self._closed.is_set():
            retry_after = await self._attempt(customer)
            await self._pause(retry_after or self._chance.uniform(*SPREAD) * pause)

    async def _pause(self, seconds: float) -> None:
        await happens(self._closed, seconds)

    async def _attempt(self, customer: int) -> float:
        """Places one order; returns after how many seconds the customer is to come back, 0 where not told."""
        number = next(self._numbers)
        door = self.doors[number % len(self.doors)]
        began = time.monotonic()
        outcome, answer, order_id, retry_after = await self._post(door, number, customer)
        attempt = Attempt(
            number, outcome, answer, door, datetime.now(UTC), time.monotonic() - began, order_id
        )
        self.attempts.append(attempt)
        return retry_after

    async def _post(self, door: str, number: int, customer: int) -> tuple[Outcome, str, str, float]:
        headers = {"Authorization": f"Bearer {self.tokens[customer % len(self.tokens)]}"}
        body = body_of(number, self._products, self._till)
        timeout = aiohttp.ClientTimeout(PATIENCE_SECONDS)
        try:
            async with self._session.post(
                f"{door}/api/orders", json=body, headers=headers, timeout=timeout
            ) as answer:
                document: Mapping[str, Any] = await answer.json(content_type=None)
                said = f"{answer.status} {document.get('detail', '')}"[:ANSWER_LIMIT]
                retry_after = float(answer.headers.get("Retry-After", 0))
                outcome = outcome_of(answer.status, document)
                return outcome, said, str(document.get("orderId", "")), retry_after
        except aiohttp.ClientConnectorError as error:
            return Outcome.REFUSED, f"nobody listens: {error}", "", 1.0
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            return Outcome.UNKNOWN, f"no answer: {type(error).__name__} {error}", "", 1.0
