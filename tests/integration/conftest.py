"""Room on real servers for each test."""

from collections.abc import AsyncIterator
from datetime import timedelta
from itertools import count
from typing import Final

import pytest
import pytest_asyncio
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import AutoReconnect

from dev.stack import Stack
from services.auth import guesses, keys, passwords
from tests.integration.authenticator import stop_the_clock_of_codes
from tests.integration.issuer import Issuer, issuing
from tests.integration.ready_keys import ReadyKeys
from tests.integration.room import Room, make_room

QUICK: Final = PasswordHash((Argon2Hasher(memory_cost=64, time_cost=1, parallelism=1),))


@pytest.fixture(autouse=True, scope="module")
def _few_to_believe(few_to_believe: None) -> None:
    """In each client and process here."""


@pytest.fixture(autouse=True)
def _quick_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hashes are slow on purpose (tests/unit/auth/test_passwords.py), and here there are thousands."""
    monkeypatch.setattr(passwords, "ARGON2ID", QUICK)


@pytest.fixture(autouse=True)
def _ready_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "RSAKey", ReadyKeys())


@pytest_asyncio.fixture
async def room(servers: Stack, request: pytest.FixtureRequest) -> AsyncIterator[Room]:
    broker = request.node.get_closest_marker("without_broker") is None
    async with make_room(servers, broker=broker) as room:
        yield room


@pytest.fixture
def answers_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every other commit takes place, and its answer is lost on the way."""
    commit, number = AsyncClientSession.commit_transaction, count()

    async def unheard(self: AsyncClientSession) -> None:
        await commit(self)
        if next(number) % 2 == 0:
            raise AutoReconnect("the answer was lost")

    monkeypatch.setattr(AsyncClientSession, "commit_transaction", unheard)


@pytest.fixture
def one_half_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    """Codes of the authenticator app are all of the same, however long a test takes."""
    stop_the_clock_of_codes(monkeypatch)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever guessed too often waits for longer than a test takes."""
    monkeypatch.setattr(guesses, "PASSWORDS", guesses.PASSWORDS._replace(first_wait=timedelta(seconds=30)))


@pytest_asyncio.fixture
async def issuer() -> AsyncIterator[Issuer]:
    async with issuing() as issuer:
        yield issuer
