"""Customers with accounts of their own, and what each does of an order: place it, and wait for its end."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime
from http import HTTPStatus
from typing import Final, NamedTuple, Self
from uuid import uuid4

import aiohttp

from sagactl.load.figures import Figures, Outcome, outcome_of
from sagactl.load.pace import Door
from sagactl.shop import NOT_NOW, Client, Json, ShopError

# No test token: the mock gateway declines one in ten, as it is told to.
CARD: Final = "tok_load"
# For so long a customer who was refused comes back, as told, with the same order and its key.
PATIENCE_SECONDS: Final = 60.0
# An order that has not settled by then is late: a minute more than `make survive` grants a shop that is hurt.
SETTLES_WITHIN_SECONDS: Final = 180.0
LOOK_SECONDS: Final = 1.0
# Of a login's life: after this share of it there is a new one.
RENEWED_AFTER: Final = 0.7


class Account:
    """One that is logged in, anew before its token ends."""

    def __init__(self, visitor: Client, log_in: Callable[[Client], Awaitable[Client]]) -> None:
        """`log_in`: anew, or on."""
        self._log_in = log_in
        self._client, self._renewed_at = visitor, float("-inf")
        self._renewing = asyncio.Lock()

    @classmethod
    def of(cls, visitor: Client, email: str, password: str) -> Self:
        return cls(visitor, lambda client: client.stay_in(email, password))

    async def client(self) -> Client:
        """Raises what a login does."""
        async with self._renewing:
            now = asyncio.get_running_loop().time()
            if now >= self._renewed_at:
                self._client = await self._log_in(self._client)
                self._renewed_at = now + RENEWED_AFTER * self._client.expires_in
            return self._client


class Customer(NamedTuple):
    account: Account
    door: Door
    figures: Figures

    @classmethod
    async def registered(cls, visitor: Client, door: Door, figures: Figures) -> "Customer":
        """A new one. Raises what a registration does."""
        email, password = f"{uuid4().hex}@load.example", uuid4().hex
        await visitor.register("Load test", email, password)
        # From here on it is the customer who has patience, and the door that says when to come back.
        return cls(Account.of(replace(visitor, patience=0), email, password), door, figures)

    async def order(self, product_id: str) -> None:
        """Buys one piece. Raises ShopError for an answer that no fault of a server excuses."""
        key = uuid4().hex
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                placed = await self._ask(lambda client: client.place({product_id: 1}, CARD, key=key))
        except TimeoutError:
            self.figures.ended(Outcome.GIVEN_UP)
            return
        self.figures.accepted(placed["orderId"])
        await self._see_it_end(placed["orderId"])

    async def _see_it_end(self, order_id: str) -> None:
        try:
            async with asyncio.timeout(SETTLES_WITHIN_SECONDS):
                order: Json = {"settled": False}
                while not order["settled"]:
                    await asyncio.sleep(LOOK_SECONDS)
                    order = await self._ask(lambda client: client.order(order_id))
        except TimeoutError:
            self.figures.ended(Outcome.LATE)
        except ShopError as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise
            self.figures.ended(Outcome.LOST)
        else:
            began, ended = (datetime.fromisoformat(order[at]) for at in ("createdAt", "updatedAt"))
            self.figures.ended(outcome_of(order), (ended - began).total_seconds())

    async def _ask(self, question: Callable[[Client], Awaitable[Json]]) -> Json:
        """The answer, however often it takes to ask."""
        while True:
            await self.door.opened()
            try:
                return await question(await self.account.client())
            except ShopError as error:
                if error.status not in NOT_NOW:
                    raise
                self._refused(error.status, error.retry_after)
            except (aiohttp.ClientError, TimeoutError):
                self._refused(0, 0)

    def _refused(self, status: int, retry_after: float) -> None:
        self.figures.refused(status)
        self.door.refused(retry_after)
