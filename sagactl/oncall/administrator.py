"""What the tools ask of the shop as an administrator.

Who that is: `sagactl login`, else GATEWAY_URL, ADMIN_EMAIL, ADMIN_PASSWORD, and ADMIN_CODE where the account
has a second factor.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Final, TypeVar

import aiohttp
import typer

from sagactl import kept_login
from sagactl.access import NoAccessError, OrderAccess
from sagactl.faults import GatewayError
from sagactl.kept_login import KeptLogin
from sagactl.shop import REFUSALS, Client, ShopError
from sagactl.terminal import Stack, run

TIMEOUT: Final = aiohttp.ClientTimeout(total=15)
# An access token is renewed so long before it expires.
MARGIN: Final = timedelta(seconds=90)
Answer = TypeVar("Answer")


def login(find: Callable[[Stack], OrderAccess], stack: Stack) -> OrderAccess:
    """Raises BadParameter where nobody said how to be let in."""
    try:
        return find(stack)
    except NoAccessError as error:
        raise typer.BadParameter(str(error)) from error


async def logged_in(
    session: aiohttp.ClientSession, access: OrderAccess, before: Client | None = None
) -> Client:
    """By the login that is kept; else by that of `before`, as long as it can be renewed.

    Raises ShopError, aiohttp.ClientError, TimeoutError and OSError.
    """
    visitor = before or Client(session, access.gateway)
    if access.kept is not None:
        return await _by_login(visitor, access.kept)
    return await visitor.stay_in(access.email, access.password, access.code)


async def _by_login(visitor: Client, login: KeptLogin) -> Client:
    async with kept_login.alone():
        now = kept_login.kept()
        if now is None or (now.gateway, now.email) != (login.gateway, login.email):
            raise ShopError(HTTPStatus.UNAUTHORIZED, f"{login.email} has logged out: sagactl login")
        client = replace(visitor, name=now.email, refresh_token=now.refresh_token)
        left = now.expires_at - datetime.now(UTC)
        if left > MARGIN:
            return replace(client, token=now.access_token, expires_in=left.total_seconds())
        try:
            renewed = await client.renewed()
        except ShopError as error:
            if error.status in REFUSALS:
                ended = f"the login of {now.email} at {now.gateway} has ended: sagactl login"
                raise ShopError(error.status, ended) from error
            raise
        kept_login.keep(login_of(renewed, now.email))
        return renewed


def login_of(client: Client, email: str) -> KeptLogin:
    """As it is kept."""
    expires_at = datetime.now(UTC) + timedelta(seconds=client.expires_in)
    return KeptLogin(client.url, email, client.token, client.refresh_token, expires_at)


def ask(
    stack: Stack, work: Callable[[Client], Awaitable[Answer]], seconds: float = TIMEOUT.total or 0
) -> Answer:
    """What comes of asking the shop, within so many seconds. Else a sentence, and an exit code."""
    access = login(OrderAccess.at_the_gateway, stack)

    async def asked(session: aiohttp.ClientSession) -> Answer:
        return await work(await logged_in(session, access))

    return at_a_gateway(asked, seconds)


def at_a_gateway(
    work: Callable[[aiohttp.ClientSession], Awaitable[Answer]], seconds: float = TIMEOUT.total or 0
) -> Answer:
    """What comes of it, within so many seconds. Else a sentence, and an exit code."""

    async def within() -> Answer:
        try:
            async with aiohttp.ClientSession(timeout=TIMEOUT) as session, asyncio.timeout(seconds):
                return await work(session)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise GatewayError(f"the gateway does not answer: {str(error) or 'in time'}") from error

    return run(within())
