"""Who is signed in: a random id in the person's browser, and under its hash, in Redis, their tokens.

What Redis holds is sealed by a key that follows from the id, which Redis does not have: whoever reads it can
sign in as nobody. Without Redis everybody signs in again; nothing else is lost.
"""

import asyncio
import base64
import hashlib
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import msgspec
from cryptography.fernet import Fernet, InvalidToken
from msgspec import Struct
from redis.asyncio import Redis

ID_BYTES: Final = 32
IDLE_SECONDS: Final = 30 * 60
LONGEST_SECONDS: Final = 12 * 3600
# Longer than the auth service takes to answer.
RENEWAL_SECONDS: Final = 15
POLL_SECONDS: Final = 0.05


class Session(Struct, frozen=True):
    access_token: str
    # Unix seconds.
    access_until: float
    refresh_token: str
    # What forms of this session carry.
    csrf: str
    began_at: float

    @property
    def seconds_left(self) -> int:
        """Until it ends if nobody uses it."""
        return max(1, min(IDLE_SECONDS, int(self.began_at + LONGEST_SECONDS - time.time())))

    @property
    def is_over(self) -> bool:
        return time.time() >= self.began_at + LONGEST_SECONDS


def new_csrf() -> str:
    return secrets.token_urlsafe(ID_BYTES)


def sealed(id_: str, session: Session) -> bytes:
    return _seal(id_).encrypt(msgspec.json.encode(session))


def opened(id_: str, text: bytes) -> Session | None:
    """None for what nobody sealed by this id."""
    try:
        return msgspec.json.decode(_seal(id_).decrypt(text), type=Session)
    except (InvalidToken, msgspec.MsgspecError):
        return None


def _seal(id_: str) -> Fernet:
    return Fernet(base64.urlsafe_b64encode(hashlib.sha256(f"seal {id_}".encode()).digest()))


def key_of(id_: str) -> str:
    return f"console:session:{hashlib.sha256(f'name {id_}'.encode()).hexdigest()}"


class Sessions:
    """All methods raise RedisError where Redis does not answer."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def begin(self, session: Session) -> str:
        """The id, for the browser alone."""
        id_ = secrets.token_urlsafe(ID_BYTES)
        await self.keep(id_, session)
        return id_

    async def keep(self, id_: str, session: Session) -> None:
        await self._redis.set(key_of(id_), sealed(id_, session), ex=session.seconds_left)

    async def find(self, id_: str) -> Session | None:
        text = await self._redis.get(key_of(id_))
        session = opened(id_, text) if isinstance(text, bytes) else None
        return None if session is None or session.is_over else session

    async def used(self, id_: str, session: Session) -> None:
        """It is not idle. Its content is not written again: somebody may be changing it."""
        await self._redis.expire(key_of(id_), session.seconds_left)

    async def end(self, id_: str) -> None:
        await self._redis.delete(key_of(id_))

    @asynccontextmanager
    async def renewing(self, id_: str) -> AsyncIterator[bool]:
        """Whether it is for the caller to renew the tokens; where somebody else does, once they are done.

        A refresh token that is used twice ends the login.
        """
        name = f"{key_of(id_)}:renewal"
        mine = bool(await self._redis.set(name, "1", nx=True, ex=RENEWAL_SECONDS))
        try:
            while not mine and await self._redis.get(name) is not None:
                await asyncio.sleep(POLL_SECONDS)
            yield mine
        finally:
            if mine:
                await self._redis.delete(name)
