"""Real servers for the whole run, and room on them for each test."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import pytest_asyncio

from dev.stack import Stack
from services.shared.contract.decisions import Decision, Verdict
from services.shared.engine.life import Engine
from tests.integration.issuer import Issuer, issuing
from tests.integration.room import Room, make_room


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    stack = Stack(tmp_path_factory.mktemp("servers"), services=())
    try:
        _run(stack.up())
        yield stack
    finally:
        _run(stack.down())


def _run(work: Coroutine[Any, Any, None]) -> None:
    """In a thread of its own: this one has the event loop that pytest-asyncio keeps for the tests."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, work).result()


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
