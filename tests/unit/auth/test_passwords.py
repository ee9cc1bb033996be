"""Hashing takes its time, the same for everybody, and does not take the machine."""

import asyncio
import time

import pytest
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from services.auth import passwords
from services.auth.passwords import Check, Passwords
from services.shared.contract.decisions import Overloaded


async def test_only_the_right_password_is_right() -> None:
    guard = Passwords(2)
    hashed = await guard.hash("correct horse")
    assert hashed.startswith("$argon2id$")
    assert await guard.check("correct horse", hashed) == Check(is_right=True, newer_hash=None)
    assert not (await guard.check("battery staple", hashed)).is_right


async def test_a_hash_with_older_parameters_is_made_anew() -> None:
    older = PasswordHash((Argon2Hasher(memory_cost=1024, time_cost=1, parallelism=1),))
    check = await Passwords(1).check("correct horse", older.hash("correct horse"))
    assert check.is_right
    assert check.newer_hash is not None
    assert "m=19456,t=2,p=1" in check.newer_hash


async def test_an_account_that_does_not_exist_takes_as_long_as_one_that_does() -> None:
    guard = Passwords(1)
    hashed = await guard.hash("correct horse")

    async def cpu_seconds(hash_: str | None) -> float:
        """Of this process: what else runs on the machine does not count."""
        started = time.process_time()
        for _ in range(5):
            assert not (await guard.check("battery staple", hash_)).is_right
        return time.process_time() - started

    known, unknown = await cpu_seconds(hashed), await cpu_seconds(None)
    assert 0.5 < unknown / known < 2


async def test_whoever_would_wait_too_long_is_turned_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "MOST_WAITING", 3)
    guard = Passwords(1)
    results = await asyncio.gather(*(guard.hash("correct horse") for _ in range(5)), return_exceptions=True)
    assert [type(result) for result in results] == [str, str, str, Overloaded, Overloaded]
    assert await guard.hash("and then there is room again")
