"""Hashes passwords: slowly on purpose, and only as many at a time as the machine can bear."""

import asyncio
import secrets
from collections.abc import Callable
from typing import Final, NamedTuple, TypeVar

from prometheus_client import Gauge
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from services.shared.contract.decisions import Overloaded

# OWASP Password Storage Cheat Sheet, argon2id: 19 MiB, two passes, one lane.
ARGON2ID: Final = PasswordHash((Argon2Hasher(memory_cost=19 * 1024, time_cost=2, parallelism=1),))
# A caller who would wait for more than some seconds is refused at once instead.
MOST_WAITING: Final = 100
WAITING: Final = Gauge("sagashop_passwords_waiting", "Passwords that are being hashed or wait for it")
T = TypeVar("T")


class Check(NamedTuple):
    is_right: bool
    # Replaces the stored hash, whose parameters are outdated.
    newer_hash: str | None


class Passwords:
    def __init__(self, concurrency: int) -> None:
        self._slots = asyncio.Semaphore(concurrency)
        self._waiting = 0
        WAITING.set_function(lambda: self._waiting)
        self._nobodys_hash = ARGON2ID.hash(secrets.token_hex())

    async def hash(self, password: str) -> str:
        return await self._run(lambda: ARGON2ID.hash(password))

    async def check(self, password: str, hash_: str | None) -> Check:
        """Check the password against the hash. Without an account there is no hash, and it takes as long."""
        check = await self._run(lambda: ARGON2ID.verify_and_update(password, hash_ or self._nobodys_hash))
        return Check(*check) if hash_ else Check(is_right=False, newer_hash=None)

    async def _run(self, work: Callable[[], T]) -> T:
        if self._waiting >= MOST_WAITING:
            raise Overloaded("too many logins at the moment: try again in a moment")
        self._waiting += 1
        try:
            async with self._slots:
                return await asyncio.to_thread(work)
        finally:
            self._waiting -= 1
