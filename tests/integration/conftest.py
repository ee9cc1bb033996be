"""Room on real servers for each test."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from dev.stack import Stack
from services.shared.contract.decisions import Decision, Verdict
from services.shared.engine.life import Engine
from tests.integration.issuer import Issuer, issuing
from tests.integration.room import Room, make_room


@pytest_asyncio.fixture
async def room(servers: Stack) -> AsyncIterator[Room]:
    async with make_room(servers) as room:
        yield room


@pytest.fixture
def answers_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands are carried out, and what they answer is lost: as after a commit of unknown outcome."""
    execute = Engine.execute

    async def forgetful(self: Engine, *command: Any, **more: Any) -> Decision:
        await execute(self, *command, **more)
        return Decision(verdict=Verdict.DUPLICATE)

    monkeypatch.setattr(Engine, "execute", forgetful)


@pytest_asyncio.fixture
async def issuer() -> AsyncIterator[Issuer]:
    async with issuing() as issuer:
        yield issuer
