"""`sagactl load`: places orders, tells what comes of them, and has the books checked at its end."""

import asyncio
import math
import random
import signal
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Annotated, Final

import aiohttp
import typer
from prometheus_client import CollectorRegistry

from saga_operator.policy.durations import parse_duration
from sagactl.access import LOCAL_STACK, URLS, Access, NoAccessError, OrderAccess, setting
from sagactl.exits import Exit
from sagactl.load.customers import Account
from sagactl.load.figures import Figures
from sagactl.load.generator import prepared
from sagactl.load.port import serving
from sagactl.oncall.administrator import logged_in
from sagactl.oncall.check import Expected, check
from sagactl.oncall.checks import EXIT_CODES
from sagactl.oncall.report_on_screen import show
from sagactl.shop import Client
from sagactl.terminal import Stack, aside, console, run
from services.shared.tls import Identity

TOLD_EVERY_SECONDS: Final = 10.0
# For one answer: longer than the gateway waits for a service.
ANSWERED_WITHIN: Final = aiohttp.ClientTimeout(total=30)


def load(  # noqa: PLR0917 - a command's options
    stack: Stack = None,
    rate: Annotated[float, typer.Option(help="Orders per second.", min=0.01)] = 1.0,
    for_: Annotated[
        timedelta | None,
        typer.Option(
            "--for",
            parser=parse_duration,
            metavar="DURATION",
            help="How long to place orders, such as 1m; then the data is checked. Without it: until "
            "interrupted.",
        ),
    ] = None,
    patience: Annotated[float, typer.Option(help="Seconds to wait until the shop is ready.", min=0)] = 10,
    port: Annotated[
        int | None,
        typer.Option(help="Port of /metrics, /accepted, /readyz and /healthz.", min=1, max=65535),
    ] = None,
    host: Annotated[str, typer.Option(help="Address on which that port listens.")] = "127.0.0.1",
    certificate: Annotated[Path | None, typer.Option(help="Certificate (PEM) for TLS on that port.")] = None,
    key: Annotated[Path | None, typer.Option(help="Key of that certificate.")] = None,
) -> None:
    """Place orders at a steady rate, and report how they ended.

    Needs an administrator's login: sagactl login, ADMIN_EMAIL and ADMIN_PASSWORD, or a local stack.

    An order that is refused is placed again when the shop allows it, and no new orders are placed until
    then. The command creates its own customers and products. It removes the products at the end; orders and
    customers stay.

    Exit code 0: every accepted order is settled, and every invariant holds. 1: an order is not settled or is
    lost, or an invariant is broken. 3: as in `check`.
    """
    try:
        login = OrderAccess.at_the_gateway(stack)
    except NoAccessError as error:
        raise typer.BadParameter(str(error)) from error
    registry = CollectorRegistry()
    figures = Figures(registry, time.monotonic, rate)

    async def loaded() -> None:
        async with AsyncExitStack() as opened:
            if port is not None:
                identity = Identity(certificate, key) if certificate and key else None
                await opened.enter_async_context(serving(host, port, identity, figures, registry))
            session = await opened.enter_async_context(aiohttp.ClientSession(timeout=ANSWERED_WITHIN))
            visitor = Client(session, login.gateway, patience=patience)
            administrator = Account(visitor, partial(logged_in, session, login))
            generator = await opened.enter_async_context(prepared(visitor, administrator, rate, figures))
            await opened.enter_async_context(_telling(figures))
            try:
                seconds = math.inf if for_ is None else for_.total_seconds()
                await generator.run(rate, seconds, _interrupted(), random.Random())  # noqa: S311  # load
            except ExceptionGroup as failed:
                raise failed.exceptions[0] from None

    run(loaded())
    typer.echo(figures)
    checked = Exit.FINE if for_ is None else _checked(stack, login.gateway, figures.recent)
    raise typer.Exit(Exit.BAD if figures.wrong else checked)


def _interrupted() -> asyncio.Event:
    """Is set at the first signal; the second one ends the process."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()

    def stopped(number: signal.Signals) -> None:
        stop.set()
        loop.remove_signal_handler(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped, number)
    return stop


@asynccontextmanager
async def _telling(figures: Figures) -> AsyncIterator[None]:
    async def tell() -> None:
        while True:
            await asyncio.sleep(TOLD_EVERY_SECONDS)
            aside.print(str(figures), highlight=False, soft_wrap=True)

    telling = asyncio.create_task(tell())
    try:
        yield
    finally:
        telling.cancel()


def _checked(stack: Path | None, gateway: str, accepted: Sequence[str]) -> Exit:
    """What the books come to, where this user may read them."""
    try:
        books = books_of(stack, gateway)
    except NoAccessError as error:
        aside.print(f"The data is not checked: {error}", highlight=False, soft_wrap=True)
        return Exit.FINE
    report = run(check(books, Expected(accepted)))
    show(console, report)
    return EXIT_CODES[report.verdict]


def books_of(stack: Path | None, gateway: str) -> Access:
    """Of the shop whose gateway it is; a stack that is here may be another one. Raises NoAccessError."""
    if stack is None and all(map(setting, URLS)):
        return Access.found()
    here = stack or LOCAL_STACK
    if OrderAccess.of_stack(here).gateway != gateway:
        raise NoAccessError(f"set {', '.join(URLS)}")
    return Access.of_stack(here)
