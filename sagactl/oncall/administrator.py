"""What the tools ask of the shop as an administrator.

GATEWAY_URL, ADMIN_EMAIL, ADMIN_PASSWORD say which, and ADMIN_CODE where the account has a second factor.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import aiohttp
import typer

from sagactl.access import NoAccessError, OrderAccess
from sagactl.faults import GatewayError
from sagactl.shop import Client
from sagactl.terminal import Stack, run

TIMEOUT: Final = aiohttp.ClientTimeout(total=15)
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
    """By the login of `before`, as long as it can be renewed. Raises ShopError, aiohttp.ClientError and
    TimeoutError.
    """
    visitor = before or Client(session, access.gateway)
    return await visitor.stay_in(access.email, access.password, access.code)


def ask(
    stack: Stack, work: Callable[[Client], Awaitable[Answer]], seconds: float = TIMEOUT.total or 0
) -> Answer:
    """What comes of asking the shop, within so many seconds. Else a sentence, and an exit code."""
    access = login(OrderAccess.at_the_gateway, stack)

    async def asked() -> Answer:
        try:
            async with aiohttp.ClientSession(timeout=TIMEOUT) as session, asyncio.timeout(seconds):
                return await work(await logged_in(session, access))
        except (aiohttp.ClientError, TimeoutError) as error:
            raise GatewayError(f"the gateway does not answer: {str(error) or 'in time'}") from error

    return run(asked())
