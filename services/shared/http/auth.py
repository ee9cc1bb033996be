"""Who is calling: a user by a JWT that the auth service signed, checked against its published keys."""

import asyncio
import base64
import json
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar, Final, TypeAlias

import aiohttp
from joserfc import jwt
from joserfc.errors import ExpiredTokenError, InvalidKeyIdError, JoseError
from joserfc.jwk import GuestProtocol, KeySet
from msgspec import Struct

from services.shared.contract.audit import Actor, Kind
from services.shared.contract.codes import Code
from services.shared.http.rights import Right, known_roles, rights_of

ALGORITHMS: Final = ["RS256"]
# RFC 9068: what the same keys sign for another purpose is no access token.
ACCESS_TOKEN: Final = "at+jwt"  # noqa: S105  # the name of a kind
# How far the clocks of two machines may be apart: as long as `auth` keeps a key published for.
LEEWAY_SECONDS: Final = 30
# Until the keys have been had, a failure holds for so long: each question may take its whole time-out.
RETRY_SECONDS: Final = 1.0
# An unknown key id makes us ask for the keys again, but not more often than this.
REFETCH_SECONDS: Final = 5.0
KEYS_FRESH_SECONDS: Final = 60.0
# Not seen again for so long, they are not believed any more: one of them may have been revoked. Access tokens
# last no longer, so that this ends nothing that works without the auth service.
KEYS_BELIEVED_SECONDS: Final = 1200.0
FETCH_TIMEOUT: Final = aiohttp.ClientTimeout(total=5)
EXPIRED: Final = "the token has expired: log in again, or refresh it"
CACHED_TOKENS: Final = 4096
log = logging.getLogger(__name__)


class Unauthenticated(Exception):
    """There is no valid token. The text says what is wrong with it."""

    def __init__(self, detail: str, code: Code = Code.TOKEN_INVALID) -> None:
        super().__init__(detail)
        self.code = code


class Forbidden(Exception):
    """The caller is known, and may not."""

    code: ClassVar[Code] = Code.FORBIDDEN


class KeysUnavailable(Exception):
    """The auth service's keys cannot be had: nobody can be let in for the moment."""

    code: ClassVar[Code] = Code.UNAVAILABLE


class User(Struct, frozen=True):
    id: str
    email: str
    rights: frozenset[Right] = frozenset()
    roles: tuple[str, ...] = ()
    # The account's when the token was given: auth alone knows the account's of today.
    epoch: int = 0
    # When the token expires (Unix seconds).
    expires_at: float = float("inf")

    @property
    def actor(self) -> Actor:
        return Actor(self.id, Kind.USER, self.roles)

    def may(self, right: Right) -> bool:
        return right in self.rights


# Asks for the document of public keys. Raises KeysUnavailable.
Keys: TypeAlias = Callable[[], Awaitable[bytes]]


def published_at(url: str, session: aiohttp.ClientSession) -> Keys:
    """The keys that the auth service publishes."""

    async def ask() -> bytes:
        try:
            async with session.get(url, timeout=FETCH_TIMEOUT) as response:
                response.raise_for_status()
                return await response.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise KeysUnavailable(f"{url}: {str(error) or type(error).__name__}") from error

    return ask


class Tokens:
    """Verifies access tokens. Signatures are checked once a token; expiry, each time."""

    def __init__(self, keys: Keys, issuer: str, audience: str, *, at_hand: bool = False) -> None:
        """`at_hand`: the keys are in this process, and are looked at for every request."""
        self._ask, self._at_hand = keys, at_hand
        self.issuer = issuer
        self._claims = jwt.JWTClaimsRegistry(
            leeway=LEEWAY_SECONDS,
            iss={"essential": True, "value": issuer},
            aud={"essential": True, "value": audience},
            sub={"essential": True},
            exp={"essential": True},
        )
        self._document = b""
        self._keys: KeySet | None = None
        # When they were asked for, and when they were had (monotonic seconds).
        self._fetched_at = self._had_at = float("-inf")
        self._fetching = asyncio.Lock()
        self._failed: tuple[float, str] | None = None
        self._verified: OrderedDict[str, User] = OrderedDict()

    @property
    def ready(self) -> bool:
        """Whether the keys have been had at least once."""
        return self._had_at > float("-inf")

    async def prepare(self) -> None:
        """Asks for the keys where they are not known or not fresh. Raises KeysUnavailable."""
        if self._keys is not None and time.monotonic() - self._had_at > KEYS_BELIEVED_SECONDS:
            self._forget()
        if self._at_hand or time.monotonic() - self._fetched_at > KEYS_FRESH_SECONDS:
            await self._fetch()

    async def user(self, authorization: str | None) -> User:
        """The caller of a request with this Authorization header. Raises Unauthenticated, KeysUnavailable."""
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Unauthenticated(
                "send a bearer token: Authorization: Bearer <access token>", Code.TOKEN_MISSING
            )
        await self.prepare()
        user = self._verified.get(token)
        if user is None:
            user = self._remember(token, await self._verify(token))
        if time.time() > user.expires_at + LEEWAY_SECONDS:
            raise Unauthenticated(EXPIRED, Code.TOKEN_EXPIRED)
        return user

    def _remember(self, token: str, user: User) -> User:
        self._verified[token] = user
        if len(self._verified) > CACHED_TOKENS:
            self._verified.popitem(last=False)
        return user

    async def _verify(self, token: str) -> User:
        try:
            claims = await self._decode(token)
        except ExpiredTokenError:
            raise Unauthenticated(EXPIRED, Code.TOKEN_EXPIRED) from None
        except (JoseError, ValueError) as error:
            raise Unauthenticated(f"the token is not valid here ({_why(error)}): log in again") from None
        roles = known_roles(claims.get("roles"))
        return User(
            id=str(claims["sub"]),
            email=str(claims.get("email", "")),
            rights=rights_of(roles),
            roles=roles,
            epoch=_epoch(claims),
            expires_at=float(claims["exp"]),
        )

    async def _decode(self, token: str) -> dict[str, Any]:
        try:
            decoded = jwt.decode(token, self._known, algorithms=ALGORITHMS)
        except InvalidKeyIdError:
            # Perhaps signed with a key that we have not seen yet.
            if not await self._fetch():
                raise
            decoded = jwt.decode(token, self._known, algorithms=ALGORITHMS)
        if str(decoded.header.get("typ", "")).lower() not in {ACCESS_TOKEN, f"application/{ACCESS_TOKEN}"}:
            raise ValueError("it is no access token")
        self._claims.validate(decoded.claims)
        return decoded.claims

    def _known(self, token: GuestProtocol) -> KeySet:
        # The library would take the only key there is for a token that names none.
        if self._keys is None or not token.headers().get("kid"):
            raise InvalidKeyIdError("the token names no key")
        return self._keys

    async def _fetch(self) -> bool:
        """Asks for the keys, unless it was done just now. Whether they may have changed."""
        before = self._fetched_at
        async with self._fetching:
            if self._fetched_at != before:
                return True  # somebody else just did
            if not self._at_hand and time.monotonic() - self._fetched_at < REFETCH_SECONDS:
                return False
            if self._failed is not None and time.monotonic() - self._failed[0] < RETRY_SECONDS:
                raise KeysUnavailable(self._failed[1])
            try:
                self._take(await self._ask())
            except KeysUnavailable as error:
                if self._keys is None:
                    self._failed = time.monotonic(), str(error)
                    raise
                log.warning("the signing keys are not refreshed: %s", error)
            self._fetched_at = time.monotonic()
            return True

    def _take(self, document: bytes) -> None:
        if document != self._document:
            try:
                self._keys = KeySet.import_key_set(json.loads(document))
            except (JoseError, ValueError) as error:
                raise KeysUnavailable(f"what is published are no keys: {error}") from error
            self._document = document
            # A key that was withdrawn takes its tokens along.
            self._verified.clear()
        self._had_at = time.monotonic()

    def _forget(self) -> None:
        log.warning("the signing keys were not had for too long: nobody is let in by them any more")
        self._keys, self._document, self._fetched_at = None, b"", float("-inf")
        self._verified.clear()


def claims_to_be_of(issuer: str, token: str) -> bool:
    """Whether the token says that this issuer made it. It tells who is to check it, and proves nothing."""
    payload = token.partition(".")[2].partition(".")[0]
    try:
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (ValueError, RecursionError):
        return False
    return isinstance(claims, dict) and claims.get("iss") == issuer


def _epoch(claims: dict[str, Any]) -> int:
    """Of a token without one, the first: so were those that were given before there was the claim."""
    epoch = claims.get("epoch", 0)
    if not isinstance(epoch, int):
        raise Unauthenticated("the token is not valid here (its epoch is no number): log in again")
    return epoch


def _why(error: JoseError | ValueError) -> str:
    """What is wrong with a token, without the library's name for it where it has a sentence."""
    if isinstance(error, JoseError):
        return error.description or error.error.replace("_", " ")
    return str(error)
