"""Buys one thing from a shop, through its front door, as a customer would: shows that it works."""

import asyncio
import os
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any, Final
from uuid import uuid4

import aiohttp
import typer

POLL_SECONDS: Final = 0.5


class SmokeError(RuntimeError):
    """The shop answered, but not as a working shop does."""


async def buy(gateway: str, admin: Mapping[str, str], patience: float) -> dict[str, Any]:
    """Sell one piece of a new product to a new customer, within `patience` seconds; return the order."""
    timeout = aiohttp.ClientTimeout(total=10)
    async with aiohttp.ClientSession(gateway, timeout=timeout) as session, asyncio.timeout(patience):
        seller = await _log_in(session, admin)
        product = await _call(session, "POST", "/api/products", seller, _product())
        await _await_stock(session, product["productId"])
        customer = await _sign_up(session)
        order = await _call(
            session,
            "POST",
            "/api/orders",
            customer,
            {"ids": [product["productId"]], "quantities": [1], "paymentToken": "tok_success"},
        )
        while not order["settled"]:
            await asyncio.sleep(POLL_SECONDS)
            order = await _call(session, "GET", f"/api/orders/{order['orderId']}", customer)
        await _call(session, "DELETE", f"/api/products/{product['productId']}", seller)
        stock = await _call(session, "GET", f"/api/inventory/{product['productId']}")
    if order["status"] != "PAID" or (stock["sold"], stock["reserved"]) != (1, 0):
        raise SmokeError(
            f"the order ended {order['status']} ({order.get('cancellationReason')}), stock {stock}"
        )
    return order


def _product() -> dict[str, Any]:
    return {
        "name": "Smoke test",
        "description": "Sold once, to show that the shop works.",
        "price": "1.00",
        "currency": "EUR",
        "initialStock": 1,
    }


async def _await_stock(session: aiohttp.ClientSession, product: str) -> None:
    # A new product's stock is made by an event: it is there soon, not at once.
    while True:
        async with session.get(f"/api/inventory/{product}") as answer:
            if answer.status == HTTPStatus.OK:
                return
            if answer.status != HTTPStatus.NOT_FOUND:
                raise SmokeError(f"the product's stock: {answer.status} {await answer.text()}")
        await asyncio.sleep(POLL_SECONDS)


async def _sign_up(session: aiohttp.ClientSession) -> str:
    login = {"email": f"smoke-{uuid4().hex}@shop.example", "password": uuid4().hex}
    await _call(session, "POST", "/auth/register", None, {**login, "name": "Smoke test"})
    return await _log_in(session, login)


async def _log_in(session: aiohttp.ClientSession, login: Mapping[str, str]) -> str:
    tokens = await _call(session, "POST", "/auth/login", None, dict(login))
    return str(tokens["accessToken"])


async def _call(
    session: aiohttp.ClientSession,
    method: str,
    path: str,
    token: str | None = None,
    body: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with session.request(method, path, json=body, headers=headers) as answer:
        if not answer.ok:
            raise SmokeError(f"{method} {path}: {answer.status} {await answer.text()}")
        content: dict[str, Any] = await answer.json() if answer.content_length != 0 else {}
        return content


def _setting(name: str) -> str:
    """From the environment, or from a file of that name in SECRETS_DIR, where a mounted Secret is."""
    if name in os.environ:
        return os.environ[name]
    return (Path(os.environ["SECRETS_DIR"]) / name).read_text().strip()


app = typer.Typer()


@app.command()
def smoke(
    gateway: Annotated[str, typer.Option(help="The shop's address.", envvar="GATEWAY_URL")],
    patience: Annotated[float, typer.Option(help="Seconds for all of it.")] = 60,
) -> None:
    """Buy one thing and see it paid and sold. Needs ADMIN_EMAIL and ADMIN_PASSWORD."""
    admin = {"email": _setting("ADMIN_EMAIL"), "password": _setting("ADMIN_PASSWORD")}
    order = asyncio.run(buy(gateway, admin, patience))
    typer.echo(f"order {order['orderId']} is {order['status']}, {order['totalPrice']} {order['currency']}")
