"""Who is signed in at the console, with a real Redis: renewed once, ended in time, told to nobody else."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import aiohttp
import pytest
import pytest_asyncio
from redis.asyncio import Redis

from console.services import Refused, Services, Tokens
from console.sessions import IDLE_SECONDS, Session, Sessions, key_of
from console.visitors import GUESSES_OF_ACCOUNT, Door, NotSignedIn
from services.gateway.limiter import Limiter
from services.shared.cache import connect_redis
from services.shared.http.auth import Tokens as Verifier
from services.shared.http.auth import published_at
from tests.integration.issuer import Issuer
from tests.integration.room import Room

pytestmark = pytest.mark.without_broker
HERE = "192.0.2.1"


@dataclass
class Auth(Services):
    """Gives whoever asks the token of a staff member, whatever they say; each refresh token works once."""

    issuer: Issuer
    is_admin: bool = True
    is_away: bool = False
    asked: list[str] = field(default_factory=list)

    async def log_in(self, *_: str) -> Tokens:
        return self._tokens("refresh-0")

    async def refresh(self, token: str, _: str) -> Tokens:
        self.asked.append(token)
        await asyncio.sleep(0.05)
        if self.is_away:
            raise Refused("the auth service does not answer")
        assert self.asked.count(token) == 1, "it was used twice: the login has ended"
        return self._tokens(f"refresh-{len(self.asked)}")

    async def log_out(self, token: str, _: str) -> None:
        self.asked.append(f"out {token}")

    def _tokens(self, refresh: str) -> Tokens:
        return Tokens(self.issuer.token("eve", admin=self.is_admin, expires_in=600), refresh, 600)


@pytest.fixture
def auth(issuer: Issuer) -> Auth:
    return Auth(issuer)


@pytest_asyncio.fixture
async def redis(room: Room) -> AsyncIterator[Redis]:
    async with connect_redis(room.redis_url) as redis:
        yield redis


@pytest_asyncio.fixture
async def door(auth: Auth, issuer: Issuer, redis: Redis) -> AsyncIterator[Door]:
    async with aiohttp.ClientSession() as http:
        verifier = Verifier(published_at(issuer.jwks_url, http), "sagashop", "sagashop")
        yield Door(auth, Sessions(redis), verifier, Limiter(redis, 60))


async def entered(door: Door) -> str:
    return await door.enter("eve@shop.example", "correct horse", "", HERE)


async def with_seconds_left(door: Door, id_: str, seconds: float) -> None:
    """Its access token ends so soon."""
    session = await door.sessions.find(id_)
    assert session is not None
    changed = Session(
        access_token=session.access_token,
        access_until=time.time() + seconds,
        refresh_token=session.refresh_token,
        csrf=session.csrf,
        began_at=session.began_at,
    )
    await door.sessions.keep(id_, changed)


async def test_who_signed_in_is_known_until_they_sign_out(door: Door, auth: Auth) -> None:
    id_ = await entered(door)
    visitor = await door.known(id_, HERE)
    assert visitor.user.email == "eve@shop.example"
    await door.leave(visitor)
    assert auth.asked == ["out refresh-0"]
    with pytest.raises(NotSignedIn):
        await door.known(id_, HERE)


async def test_an_id_that_nobody_was_given_is_nobody(door: Door) -> None:
    for id_ in ("", "x", key_of("x"), "../x"):
        with pytest.raises(NotSignedIn):
            await door.known(id_, HERE)


async def test_many_tabs_at_once_renew_a_token_once_and_all_get_the_new_one(door: Door, auth: Auth) -> None:
    id_ = await entered(door)
    await with_seconds_left(door, id_, 1)
    visitors = await asyncio.gather(*(door.known(id_, HERE) for _ in range(8)))
    assert auth.asked == ["refresh-0"]
    assert {visitor.session.refresh_token for visitor in visitors} == {"refresh-1"}
    # What forms carry stays, or a page that is open could not be sent any more.
    assert len({visitor.session.csrf for visitor in visitors}) == 1


async def test_while_auth_is_away_a_token_that_is_good_is_used_and_one_that_ended_is_the_end(
    door: Door, auth: Auth
) -> None:
    id_ = await entered(door)
    auth.is_away = True
    await with_seconds_left(door, id_, 20)
    assert (await door.known(id_, HERE)).session.refresh_token == "refresh-0"
    await with_seconds_left(door, id_, -1)
    with pytest.raises(NotSignedIn):
        await door.known(id_, HERE)


async def test_whose_role_was_taken_is_out_with_the_next_token(door: Door, auth: Auth) -> None:
    id_ = await entered(door)
    auth.is_admin = False
    await with_seconds_left(door, id_, 1)
    with pytest.raises(NotSignedIn):
        await door.known(id_, HERE)
    with pytest.raises(Refused, match="this is for the role"):
        await entered(door)


async def test_a_session_that_nobody_uses_ends_and_redis_tells_nobody_whose_it_was(
    door: Door, redis: Redis
) -> None:
    id_ = await entered(door)
    (name,) = [each async for each in redis.scan_iter("console:*")]
    assert name == key_of(id_).encode()
    assert 0 < await redis.ttl(name) <= IDLE_SECONDS
    kept = await redis.get(name)
    assert isinstance(kept, bytes)
    for secret in (id_, "refresh-0", "eve", "eyJ"):
        assert secret.encode() not in kept + name
    await redis.expire(name, 60)
    await door.known(id_, HERE)
    assert await redis.ttl(name) > 60


async def test_guesses_at_one_account_from_one_address_are_counted(door: Door) -> None:
    for _ in range(GUESSES_OF_ACCOUNT):
        await entered(door)
    with pytest.raises(Refused, match="too many attempts: wait"):
        await entered(door)
    await door.enter("another@shop.example", "correct horse", "", HERE)
    await door.enter("eve@shop.example", "correct horse", "", "192.0.2.2")
