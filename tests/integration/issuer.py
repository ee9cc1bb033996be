"""Access tokens for tests, signed by a key whose public half is served as the auth service would serve it."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache

from aiohttp import web
from aiohttp.test_utils import TestServer
from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey

from services.shared.http.auth import ACCESS_TOKEN


@dataclass(frozen=True)
class Issuer:
    jwks_url: str
    key: RSAKey

    def token(self, user: str, *, admin: bool = False, expires_in: float = 600) -> str:
        claims = {
            "iss": "sagashop",
            "aud": "sagashop",
            "sub": user,
            "email": f"{user}@shop.example",
            "roles": ["admin"] if admin else [],
            "exp": int(time.time() + expires_in),
        }
        return jwt.encode({"alg": "RS256", "kid": self.key.kid, "typ": ACCESS_TOKEN}, claims, self.key)

    def headers(self, user: str, *, admin: bool = False) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token(user, admin=admin)}"}


@cache
def the_key() -> RSAKey:
    """One for all tests: each would take as long to make as the rest of its issuer."""
    return RSAKey.generate_key(2048, {"kid": "test", "use": "sig", "alg": "RS256"})


@asynccontextmanager
async def issuing() -> AsyncIterator[Issuer]:
    key = the_key()
    keys = KeySet([key]).as_dict(private=False)

    async def jwks(_: web.Request) -> web.Response:
        return web.json_response(keys)

    app = web.Application()
    app.router.add_get("/jwks.json", jwks)
    async with TestServer(app) as server:
        yield Issuer(str(server.make_url("/jwks.json")), key)
