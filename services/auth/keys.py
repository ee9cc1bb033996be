"""The key ring: the signing keys of all replicas, kept in the database, turned over while running."""

import asyncio
import json
import logging
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from joserfc import jwt
from joserfc.jwk import RSAKey
from pymongo.errors import PyMongoError

from services.auth.queries import SigningKeys
from services.auth.rotation import Rotation, SigningKey, next_id
from services.shared.database.clock import Clock
from services.shared.http.auth import ACCESS_TOKEN, ALGORITHMS, KeysUnavailable

KEY_BITS: Final = 2048
LOOK_SECONDS: Final = 30.0
log = logging.getLogger(__name__)


class KeyRing:
    """Signs with the key whose turn it is, and knows what to publish."""

    def __init__(self, stored: SigningKeys, clock: Clock, age: timedelta) -> None:
        self._stored = stored
        self._clock = clock
        self._rotation = Rotation(age)
        self._keys: list[SigningKey] = []
        self._private: dict[str, RSAKey] = {}
        self._document = b""

    @property
    def ready(self) -> bool:
        return bool(self._keys)

    async def published(self) -> bytes:
        """Return the JSON Web Key Set of all keys whose tokens may be in use. Raise KeysUnavailable."""
        if not self._keys:
            raise KeysUnavailable("the signing keys are not loaded yet")
        return self._document

    def sign(self, claims: Mapping[str, Any]) -> str:
        """Return an access token with these claims. Raise KeysUnavailable when there is no key yet."""
        if not self._keys:
            raise KeysUnavailable("the signing keys are not loaded yet")
        key = self._private[self._rotation.signing(self._keys, self._clock.now()).id]
        return jwt.encode({"alg": ALGORITHMS[0], "kid": key.kid, "typ": ACCESS_TOKEN}, dict(claims), key)

    async def turn(self) -> None:
        """Load the keys, make the next one when it is due, remove those that are outdated."""
        keys = await self._stored.all()
        if self._rotation.is_due(keys, self._clock.now()):
            await self._make(next_id(keys))
            keys = await self._stored.all()
        outdated = self._rotation.outdated(keys, self._clock.now())
        if outdated:
            await self._stored.remove(outdated)
            log.info("removed outdated signing keys: %s", [key.jwk["kid"] for key in outdated])
        self._take([key for key in keys if key not in outdated])

    async def run(self) -> None:
        while True:
            await asyncio.sleep(min(LOOK_SECONDS, self._rotation.lead.total_seconds() / 4))
            try:
                await self.turn()
            except PyMongoError as error:
                log.warning("the signing keys could not be read, the known ones stay: %s", error)

    async def _make(self, id_: str) -> None:
        made = await asyncio.to_thread(RSAKey.generate_key, KEY_BITS, auto_kid=True)
        jwk = {**made.as_dict(private=True), "use": "sig", "alg": ALGORITHMS[0]}
        key = SigningKey(id=id_, jwk=jwk, created_at=self._clock.now())
        if await self._stored.add(key):
            log.info("made signing key %s: %s", id_, made.kid)
        else:
            log.info("another replica made signing key %s", id_)

    def _take(self, keys: list[SigningKey]) -> None:
        self._private = {key.id: self._private.get(key.id) or RSAKey.import_key(key.jwk) for key in keys}
        public = [self._private[key.id].as_dict(private=False) for key in keys]
        self._document = json.dumps({"keys": public}, separators=(",", ":")).encode()
        self._keys = keys
