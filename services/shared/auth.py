"""Who is calling: a user by a JWT that the auth service signed, checked against its published keys."""

import asyncio
import json
import logging
import time
from collections import OrderedDict
from typing import Any, Final

import aiohttp
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from msgspec import Struct

ALGORITHMS: Final = ["RS256"]
LEEWAY_SECONDS: Final = 5
# An unknown key id makes us ask for the keys again, but not more often than this.
REFETCH_SECONDS: Final = 5.0
KEYS_FRESH_SECONDS: Final = 300.0
FETCH_TIMEOUT: Final = aiohttp.ClientTimeout(total=5)
CACHED_TOKENS: Final = 4096
log = logging.getLogger(__name__)


class Unauthenticated(Exception):  # noqa: N818  # a state of affairs, not a failure
    """There is no valid token. The text says what is wrong with it."""


class Forbidden(Exception):  # noqa: N818  # see Unauthenticated
    """The caller is known, and may not."""


class KeysUnavailable(Exception):  # noqa: N818  # see Unauthenticated
    """The auth service's keys cannot be had: nobody can be let in for the moment."""


class User(Struct, frozen=True):
    id: str
    email: str
    is_admin: bool


class Tokens:
    """Verifies access tokens. Signatures are checked once a token; expiry, each time."""

    def __init__(self, session: aiohttp.ClientSession, jwks_url: str, issuer: str, audience: str) -> None:
        self._session, self._url = session, jwks_url
        self._claims = jwt.JWTClaimsRegistry(
            leeway=LEEWAY_SECONDS,
            iss={"essential": True, "value": issuer},
            aud={"essential": True, "value": audience},
            sub={"essential": True},
            exp={"essential": True},
        )
        self._keys: KeySet | None = None
        self._fetched_at = float("-inf")
        self._fetching = asyncio.Lock()
        self._verified: OrderedDict[str, tuple[User, float]] = OrderedDict()

    async def user(self, authorization: str | None) -> User:
        """The caller of a request with this Authorization header. Raises Unauthenticated, KeysUnavailable."""
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Unauthenticated("send a bearer token: Authorization: Bearer <access token>")
        if time.monotonic() - self._fetched_at > KEYS_FRESH_SECONDS:
            await self._fetch()
        known = self._verified.get(token)
        if known is None:
            known = self._remember(token, await self._verify(token))
        user, expires_at = known
        if time.time() > expires_at + LEEWAY_SECONDS:
            raise Unauthenticated("the token has expired: log in again, or refresh it")
        return user

    def _remember(self, token: str, known: tuple[User, float]) -> tuple[User, float]:
        self._verified[token] = known
        if len(self._verified) > CACHED_TOKENS:
            self._verified.popitem(last=False)
        return known

    async def _verify(self, token: str) -> tuple[User, float]:
        try:
            claims = self._decode(token)
        except (JoseError, ValueError):
            # Perhaps signed with a key that we have not seen yet.
            if not await self._fetch():
                raise Unauthenticated("the token is not valid here: log in again") from None
            try:
                claims = self._decode(token)
            except (JoseError, ValueError) as error:
                raise Unauthenticated(f"the token is not valid here: {error}") from None
        roles = claims.get("roles", [])
        return User(str(claims["sub"]), str(claims.get("email", "")), "admin" in roles), float(claims["exp"])

    def _decode(self, token: str) -> dict[str, Any]:
        if self._keys is None:
            raise ValueError("no keys yet")
        decoded = jwt.decode(token, self._keys, algorithms=ALGORITHMS)
        self._claims.validate(decoded.claims)
        return decoded.claims

    async def _fetch(self) -> bool:
        """Asks for the keys, unless it was done just now. Whether they may have changed."""
        before = self._fetched_at
        async with self._fetching:
            if self._fetched_at != before:
                return True  # somebody else just did
            if time.monotonic() - self._fetched_at < REFETCH_SECONDS:
                return False
            try:
                async with self._session.get(self._url, timeout=FETCH_TIMEOUT) as response:
                    response.raise_for_status()
                    self._keys = KeySet.import_key_set(json.loads(await response.read()))
            except (aiohttp.ClientError, TimeoutError, ValueError) as error:
                if self._keys is None:
                    raise KeysUnavailable(f"{self._url}: {error or type(error).__name__}") from error
                log.warning("the signing keys are not refreshed: %s", error)
            else:
                # A key that was withdrawn takes its tokens along.
                self._verified.clear()
            self._fetched_at = time.monotonic()
            return True
