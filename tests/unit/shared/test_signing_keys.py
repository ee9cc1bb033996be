"""Keys that cannot be had: who asks meanwhile is told at once; and they are not believed for ever."""

import asyncio
import json
import time

import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey

from services.shared.http import auth
from services.shared.http.auth import (
    KEYS_BELIEVED_SECONDS,
    KEYS_FRESH_SECONDS,
    KeysUnavailable,
    Tokens,
    Unauthenticated,
)


async def test_before_the_first_keys_a_failure_holds_for_all_who_wait_and_for_a_second() -> None:
    asked = 0
    go_on = asyncio.Event()

    async def hangs() -> bytes:
        nonlocal asked
        asked += 1
        await go_on.wait()
        raise KeysUnavailable("the auth service does not answer")

    tokens = Tokens(hangs, "shop", "shop")
    waiting = [asyncio.create_task(tokens.prepare()) for _ in range(10)]
    await asyncio.sleep(0)
    go_on.set()
    answers = await asyncio.gather(*waiting, return_exceptions=True)
    assert [str(answer) for answer in answers] == ["the auth service does not answer"] * 10
    with pytest.raises(KeysUnavailable):
        await tokens.user("Bearer a.b.c")
    assert asked == 1


class AuthService:
    """Publishes what it has, or is away, by a clock of its own."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.keys = [RSAKey.generate_key(2048, auto_kid=True)]
        self.away = False
        self.asked = 0
        self.now = 1000.0
        self.tokens = Tokens(self.published, "shop", "shop")
        monkeypatch.setattr(auth, "time", self)

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return time.time()

    async def published(self) -> bytes:
        self.asked += 1
        if self.away:
            raise KeysUnavailable("it is away")
        return json.dumps({"keys": [key.as_dict(private=False) for key in self.keys]}).encode()

    def token(self, key: RSAKey) -> str:
        claims = {"iss": "shop", "aud": "shop", "sub": "ada", "exp": int(time.time()) + 900}
        return "Bearer " + jwt.encode({"alg": "RS256", "kid": key.kid, "typ": "at+jwt"}, claims, key)


async def test_a_key_that_is_published_no_more_is_refused_within_a_minute(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    service = AuthService(monkeypatch)
    token = service.token(service.keys[0])
    assert (await service.tokens.user(token)).id == "ada"
    service.keys = [RSAKey.generate_key(2048, auto_kid=True)]
    service.now += KEYS_FRESH_SECONDS
    assert (await service.tokens.user(token)).id == "ada"
    service.now += 1
    with pytest.raises(Unauthenticated, match="not valid here"):
        await service.tokens.user(token)
    assert KEYS_FRESH_SECONDS <= 60


async def test_keys_are_believed_for_a_while_without_the_auth_service_and_then_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    service = AuthService(monkeypatch)
    token = service.token(service.keys[0])
    await service.tokens.user(token)
    had_at = service.now
    service.away = True
    while service.now + 20 <= had_at + KEYS_BELIEVED_SECONDS:
        service.now += 20
        assert (await service.tokens.user(token)).id == "ada"
    service.now = had_at + KEYS_BELIEVED_SECONDS + 1
    for _ in range(3):
        with pytest.raises(KeysUnavailable, match="it is away"):
            await service.tokens.user(token)
        service.now += 2
    assert service.tokens.ready, "what needs no key is served all the same"
    service.away = False
    assert (await service.tokens.user(token)).id == "ada"
    assert KEYS_BELIEVED_SECONDS <= 30 * 60
