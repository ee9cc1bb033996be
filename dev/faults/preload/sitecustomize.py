"""Loaded by Python before a service where `Crashes.environment` says so.

Lets it die at armed points, and leads it to the database by detours where it was told of any.
"""

import asyncio
import os
import signal
from collections.abc import Callable, Mapping
from functools import wraps
from pathlib import Path
from socket import socket
from typing import Any, Final

from dev.faults import crashes, detours
from dev.faults.crashes import Crashes, CrashPoint

ARMED: Final = Crashes(Path(os.environ[crashes.DIRECTORY]))
SERVICE: Final = os.environ[crashes.SERVICE]
WITHOUT_ENGINE: Final = ("auth", "gateway")


async def _pass_or_die(point: CrashPoint) -> None:
    if ARMED.take(SERVICE, point):
        if point is CrashPoint.BEFORE_ACK:
            await asyncio.sleep(crashes.LAST_SECONDS)
        os.kill(os.getpid(), signal.SIGKILL)


def _wrap(
    owner: object, name: str, *, before: CrashPoint | None = None, after: CrashPoint | None = None
) -> None:
    original: Callable[..., Any] = getattr(owner, name)

    @wraps(original)
    async def wrapped(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401  # whatever the original takes
        if before:
            await _pass_or_die(before)
        result = await original(*args, **kwargs)
        if after:
            await _pass_or_die(after)
        return result

    setattr(owner, name, wrapped)


def _wrap_engine() -> None:
    # Imported only where it runs.
    from pymongo.asynchronous.client_session import AsyncClientSession  # noqa: PLC0415

    from services.shared.engine import deliveries  # noqa: PLC0415
    from services.shared.engine.leases import Leases  # noqa: PLC0415
    from services.shared.engine.publishing import Publishing  # noqa: PLC0415

    _wrap(AsyncClientSession, "start_transaction", before=CrashPoint.BEFORE_TRANSACTION)
    _wrap(
        AsyncClientSession,
        "commit_transaction",
        before=CrashPoint.BEFORE_COMMIT,
        after=CrashPoint.AFTER_COMMIT,
    )
    _wrap(Publishing, "send", before=CrashPoint.BEFORE_PUBLISHING)
    _wrap(Publishing, "copy", after=CrashPoint.AFTER_COPY)
    _wrap(Leases, "delete", before=CrashPoint.BEFORE_DELETE)
    _wrap(Leases, "claim", after=CrashPoint.AFTER_CLAIM)
    # Deliveries write nothing else to the broker.
    _wrap(deliveries, "write", before=CrashPoint.BEFORE_ACK)


def _wrap_gateway() -> None:
    from services.payment.mock import MockGateway  # noqa: PLC0415  # see above
    from services.payment.stripe_gateway import StripeGateway  # noqa: PLC0415

    for gateway in (MockGateway, StripeGateway):
        _wrap(gateway, "capture", before=CrashPoint.BEFORE_CAPTURE, after=CrashPoint.AFTER_CAPTURE)


def _lead_by(ways: Mapping[int, int]) -> None:
    from pymongo import pool_shared  # noqa: PLC0415  # see above

    # Not public: the driver has nothing that is, and through which all its connections go.
    original = pool_shared._async_create_connection  # noqa: SLF001

    async def wrapped(address: tuple[str, int | None], options: Any) -> socket:  # noqa: ANN401  # the driver's own
        host, port = address
        return await original((host, ways.get(port or 0, port)), options)

    pool_shared._async_create_connection = wrapped  # noqa: SLF001


if ways := detours.told(os.environ):
    _lead_by(ways)
if SERVICE not in WITHOUT_ENGINE:
    _wrap_engine()
if SERVICE == "payment":
    _wrap_gateway()
