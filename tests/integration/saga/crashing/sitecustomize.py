"""Loaded before a service under test (PYTHONPATH): makes it die by SIGKILL where a test says.

A test names a point by a file in CRASH_DIR. The replica that gets there first takes the file, and dies. The
services themselves know nothing of it: what is wrapped here is the engine as it runs in production.
"""

import asyncio
import os
import signal
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

DIRECTORY = Path(os.environ["CRASH_DIR"])
SERVICE = os.environ["MONGODB_DATABASE"]
# Long enough for Redis to have heard of a batch.
MARKED_AFTER = 1.0


def _take(point: str) -> bool:
    try:
        (DIRECTORY / f"{SERVICE} {point}").unlink()
    except FileNotFoundError:
        return False
    return True


def _die_at(point: str) -> None:
    if _take(point):
        os.kill(os.getpid(), signal.SIGKILL)


def _wrap(owner: type, name: str, *, before: str | None = None, after: str | None = None) -> None:
    original: Callable[..., Any] = getattr(owner, name)

    @wraps(original)
    async def wrapped(*args: Any, **kwargs: Any) -> Any:
        if before:
            _die_at(before)
        result = await original(*args, **kwargs)
        if after:
            _die_at(after)
        return result

    setattr(owner, name, wrapped)


def _die_before_the_ack(consumer: type) -> None:
    original: Callable[..., Any] = consumer._flush  # type: ignore[attr-defined]  # noqa: SLF001  # where acks go out

    async def flush(self: Any) -> None:
        if _take("before the ack"):
            await asyncio.sleep(MARKED_AFTER)
            os.kill(os.getpid(), signal.SIGKILL)
        await original(self)

    consumer._flush = flush  # type: ignore[attr-defined]  # noqa: SLF001


def _die_before_the_mark(hints: type) -> None:
    original: Callable[..., None] = hints.remember  # type: ignore[attr-defined]  # of Hints

    def remember(self: Any, messages: Any) -> None:
        _die_at("after the commit, before the Redis mark")
        original(self, messages)

    hints.remember = remember  # type: ignore[attr-defined]


def _engine() -> None:
    from services.shared.engine.commit import Committer  # noqa: PLC0415
    from services.shared.engine.deliveries import Consumer  # noqa: PLC0415
    from services.shared.engine.hints import Hints  # noqa: PLC0415
    from services.shared.engine.leases import Leases  # noqa: PLC0415
    from services.shared.engine.publishing import Publishing  # noqa: PLC0415  # only where it runs anyway

    _wrap(Committer, "_transact", before="before the transaction")
    _wrap(Committer, "_commit_transaction", before="between write and commit")
    _die_before_the_mark(Hints)
    _wrap(Publishing, "send", before="before publishing")
    _wrap(Leases, "delete", before="between publish and delete")
    _die_before_the_ack(Consumer)


def _payment() -> None:
    from services.payment.mock import MockGateway  # noqa: PLC0415

    _wrap(MockGateway, "capture", after="after the gateway captured")


if SERVICE in {"order", "product", "inventory", "payment", "notification"}:
    _engine()
if SERVICE == "payment":
    _payment()
