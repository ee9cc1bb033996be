"""Loaded before a service of a scenario (PYTHONPATH): lets it die by SIGKILL between a write and its commit.

A scenario names a service by a file in CRASH_DIR. The replica of it that is the next to commit a transaction
takes the file, and dies: its writes stand, uncommitted, in the way of everybody else's. What is wrapped is
the driver's own session, so the services know nothing of it.
"""

import os
import signal
from pathlib import Path

DIRECTORY = Path(os.environ["CRASH_DIR"])
SERVICE = os.environ["MONGODB_DATABASE"]


def _patch() -> None:
    from pymongo.asynchronous.client_session import AsyncClientSession  # noqa: PLC0415  # only where it runs

    commit = AsyncClientSession.commit_transaction

    async def commit_or_die(session: AsyncClientSession) -> None:
        try:
            (DIRECTORY / SERVICE).unlink()
        except FileNotFoundError:
            await commit(session)
        else:
            os.kill(os.getpid(), signal.SIGKILL)

    AsyncClientSession.commit_transaction = commit_or_die  # type: ignore[assignment,method-assign]  # see above


if SERVICE in {"order", "product", "inventory", "payment", "notification"}:
    _patch()
