"""The shop as its customers and administrators use it: HTTP through the gateway, and nothing else.

The one client of all tools and tests: `Client(session, url)` is a visitor; `register` and `log_in` give the
same client with an account.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Any, Final, NamedTuple, Self, TypeAlias
from uuid import uuid4

import aiohttp

from sagactl.polling import until

Json: TypeAlias = dict[str, Any]
# For a shop that is busy with other things.
WITHIN: Final = 60.0
RETRY_SECONDS: Final = 0.3
# The shop cannot at the moment, or not so often: the same request may succeed later.
NOT_NOW: Final = frozenset(
    {
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
        HTTPStatus.TOO_MANY_REQUESTS,
    }
)
# The shop does not know who asks, or they may not.
REFUSALS: Final = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})


class Stock(NamedTuple):
    """Pieces of a product."""

    available: int
    reserved: int
    sold: int


class ShopError(RuntimeError):
    """The shop answered with an error."""

    def __init__(self, status: int, text: str, retry_after: float = 0) -> None:
        """`retry_after`: the seconds after which to ask again; 0 where the shop does not say."""
        super().__init__(text)
        self.status, self.retry_after = status, retry_after


def _for_good(error: Exception) -> bool:
    """Whether the same request would fail again: it was refused, or by a server that is not believed."""
    if isinstance(error, ShopError):
        return error.status not in NOT_NOW
    return isinstance(error, aiohttp.ClientConnectorCertificateError)


@dataclass(frozen=True)
class Client:
    """Somebody at the shop's door. All methods raise ShopError, aiohttp.ClientError and TimeoutError."""

    session: aiohttp.ClientSession
    # Of the gateway; empty where the session has a base URL.
    url: str = ""
    name: str = "visitor"
    token: str = field(default="", repr=False)
    refresh_token: str = field(default="", repr=False)
    # Seconds of a token's life, from the login on.
    expires_in: float = 0
    # Seconds for which a request is repeated while the shop cannot answer it at the moment.
    patience: float = 0
    # Seconds between one attempt and the next: longer where many do so at the same time.
    pause: float = RETRY_SECONDS

    async def call(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, key: str = ""
    ) -> Json:
        """The answer's JSON, {} where it has no body. `key` is an Idempotency-Key."""
        end = time.monotonic() + self.patience
        while True:
            try:
                return await self._try(method, path, body, key)
            except (ShopError, aiohttp.ClientError, TimeoutError) as error:
                if _for_good(error) or time.monotonic() >= end:
                    raise
            await asyncio.sleep(self.pause)

    async def _try(self, method: str, path: str, body: Mapping[str, Any] | None, key: str) -> Json:
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        if key:
            headers["Idempotency-Key"] = key
        async with self.session.request(method, self.url + path, json=body, headers=headers) as answer:
            text = await answer.text()
            if not answer.ok:
                # Whoever stands before the shop may also write a date, which says no more than none.
                seconds = answer.headers.get("Retry-After", "")
                retry_after = float(seconds) if seconds.isdecimal() else 0
                raise ShopError(answer.status, f"{method} {path}: {answer.status} {text}", retry_after)
            content: Json = await answer.json() if text else {}
            return content

    # --- accounts ---------------------------------------------------------------------------------------

    async def register(
        self, name: str = "Ada", email: str | None = None, password: str | None = None
    ) -> Self:
        """The same client with a new account, of its own address and password unless given."""
        email, password = email or f"{uuid4().hex}@shop.example", password or uuid4().hex
        await self.call("POST", "/auth/register", {"name": name, "email": email, "password": password})
        return replace(await self.log_in(email, password), name=name)

    async def log_in(self, email: str, password: str, code: str | None = None) -> Self:
        """The same client with the account; an administrator's, too. `code` is of its second factor."""
        login = {"email": email, "password": password} | ({"code": code} if code else {})
        answer = await self.call("POST", "/auth/login", login)
        return replace(self._with(answer), name=email)

    async def renewed(self) -> Self:
        """The same client with the next tokens of its login: no code is asked for again."""
        return self._with(await self.call("POST", "/auth/refresh", {"refreshToken": self.refresh_token}))

    async def stay_in(self, email: str, password: str, code: str | None = None) -> Self:
        """The same client with new tokens: of its login, or of a new one where that has ended."""
        if self.refresh_token:
            try:
                return await self.renewed()
            except ShopError as error:
                if error.status not in REFUSALS:
                    raise
        return await self.log_in(email, password, code)

    def _with(self, tokens: Json) -> Self:
        token, refresh_token = tokens["accessToken"], tokens["refreshToken"]
        expires_in = float(tokens["expiresIn"])
        return replace(self, token=token, refresh_token=refresh_token, expires_in=expires_in)

    # --- products ---------------------------------------------------------------------------------------

    async def add_product(
        self,
        stock: int = 1,
        price: str = "9.99",
        currency: str = "EUR",
        name: str = "Tea",
        within: float = WITHIN,
    ) -> str:
        """The id of a new product that can be ordered: its stock is there, which an event makes."""
        product = {
            "name": name,
            "description": name,
            "price": price,
            "currency": currency,
            "initialStock": stock,
        }
        product_id = str((await self.call("POST", "/api/products", product))["productId"])

        async def stocked() -> bool:
            try:
                await self.stock(product_id)
            except ShopError as error:
                if error.status != HTTPStatus.NOT_FOUND:
                    raise
                return False
            return True

        await until(stocked, within=within, what=f"stock of the new product {product_id}")
        return product_id

    async def remove_product(self, product_id: str) -> None:
        # With a key, a deletion whose answer was lost is no 404 when it is tried again.
        await self.call("DELETE", f"/api/products/{product_id}", key=uuid4().hex)

    async def stock(self, product_id: str) -> Stock:
        found = await self.call("GET", f"/api/inventory/{product_id}")
        return Stock(found["available"], found["reserved"], found["sold"])

    async def stock_becomes(
        self, product_id: str, wanted: tuple[int, int, int], within: float = WITHIN
    ) -> None:
        """Returns once there is so much available, reserved and sold."""
        await until(
            lambda: self.stock(product_id),
            lambda stock: stock == wanted,
            within=within,
            what=f"stock {wanted} (available, reserved, sold) of {product_id}",
        )

    # --- orders -----------------------------------------------------------------------------------------

    async def place(
        self, quantities: Mapping[str, int], card: str = "tok_success", *, key: str = "", **more: object
    ) -> Json:
        """The new order. `more` are further fields of the request, as they are called there.

        A client with patience may send the request several times: with a key of its own, it is one order.
        """
        order = {"ids": [*quantities], "quantities": [*quantities.values()], "paymentToken": card, **more}
        key = key or (uuid4().hex if self.patience else "")
        return await self.call("POST", "/api/orders", order, key=key)

    async def cancel(self, order_id: str) -> Json:
        return await self.call("POST", f"/api/orders/{order_id}/cancel")

    async def refund(self, order_id: str, reason: str, pieces: Mapping[str, int] | None = None) -> Json:
        """The order, all of which is asked back, or so many pieces of products, which come back."""
        if pieces is None:
            return await self.call("POST", f"/api/orders/{order_id}/refund", {"reason": reason})
        lines = [{"productId": product, "quantity": quantity} for product, quantity in pieces.items()]
        body = {"reason": reason, "lines": lines}
        return await self.call("POST", f"/api/orders/{order_id}/refund", body, key=uuid4().hex)

    async def order(self, order_id: str) -> Json:
        return await self.call("GET", f"/api/orders/{order_id}")

    async def timeline(self, order_id: str) -> list[Json]:
        return list((await self.call("GET", f"/api/orders/{order_id}/timeline"))["items"])

    async def payment(self, order_id: str) -> Json | None:
        """The payment of an order, None while there is none."""
        try:
            return await self.call("GET", f"/api/payments/{order_id}")
        except ShopError as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return None
            raise

    async def becomes(
        self, order_id: str, holds: Callable[[Json], object], within: float = WITHIN, what: str = "as wanted"
    ) -> Json:
        """The order, once `holds` says so of it."""
        return await until(
            lambda: self.order(order_id), holds, within=within, what=f"order {order_id} {what}"
        )

    async def at(self, order_id: str, status: str, within: float = WITHIN) -> Json:
        """The order, once it has this status."""
        return await self.becomes(order_id, lambda order: order["status"] == status, within, status)

    async def settled(self, order_id: str, within: float = WITHIN) -> Json:
        """The order, once nothing more happens to it by itself."""
        return await self.becomes(order_id, lambda order: order["settled"], within, "settled")
