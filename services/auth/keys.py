"""The key ring: the signing keys of all replicas, kept in the database, turned over while running.

Their private parts are sealed there. A key that this process cannot open still verifies, and does not sign.
"""

import asyncio
import json
import logging
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

import msgspec
from joserfc import jwt
from joserfc.jwk import RSAKey
from pymongo.errors import PyMongoError

from services.auth.queries import SigningKeys
from services.auth.rotation import Rotation, SigningKey, Turn, live, next_id
from services.shared.database.clock import Clock
from services.shared.http.auth import ACCESS_TOKEN, ALGORITHMS, KeysUnavailable
from services.shared.sealing import CannotBeOpened, Seals

KEY_BITS: Final = 2048
LOOK_SECONDS: Final = 30.0
# What was not seen for so long may have been revoked meanwhile.
BELIEVED_SECONDS: Final = 300.0
NOT_LOADED: Final = "the signing keys are not loaded yet"
log = logging.getLogger(__name__)


class KeyRing:
    """Signs with the key whose turn it is, and knows what to publish."""

    def __init__(self, stored: SigningKeys, clock: Clock, age: timedelta, seals: Seals) -> None:
        self._stored, self._clock, self._seals = stored, clock, seals
        self._rotation = Rotation(age)
        self._keys: list[SigningKey] = []
        self._private: dict[str, RSAKey] = {}
        self._document = b""
        self._seen_at = float("-inf")
        # What was read before a key was revoked must not be taken after it.
        self._turning = asyncio.Lock()

    async def published(self) -> bytes:
        """Return the JSON Web Key Set of all keys whose tokens may be in use. Raise KeysUnavailable."""
        if not self._keys:
            raise KeysUnavailable(NOT_LOADED)
        if time.monotonic() - self._seen_at > BELIEVED_SECONDS:
            raise KeysUnavailable("the signing keys cannot be read")
        return self._document

    def sign(self, claims: Mapping[str, Any]) -> str:
        """Return an access token with these claims. Raise KeysUnavailable when there is no key yet."""
        own = self._own(self._keys)
        if not own:
            raise KeysUnavailable(NOT_LOADED)
        key = self._private[self._rotation.signing(own, self._clock.now()).kid]
        return jwt.encode({"alg": ALGORITHMS[0], "kid": key.kid, "typ": ACCESS_TOKEN}, dict(claims), key)

    async def turn(self) -> None:
        """Load the keys, make the next one when it is due, remove those that are outdated."""
        async with self._turning:
            keys = await self._load()
            if self._rotation.is_due(self._own(live(keys)), self._clock.now()):
                await self._make(next_id(keys))
                keys = await self._load()
            outdated = self._rotation.outdated(keys, self._clock.now())
            if outdated:
                await self._stored.remove(outdated)
                log.info("removed outdated signing keys: %s", [key.kid for key in outdated])
            self._take([key for key in live(keys) if key not in outdated])
            await self._seal_anew()

    async def run(self) -> None:
        while True:
            await asyncio.sleep(min(LOOK_SECONDS, self._rotation.lead.total_seconds() / 4))
            try:
                await self.turn()
            except PyMongoError as error:
                log.warning("the signing keys could not be read, the known ones stay: %s", error)

    # What administrators do

    async def turns(self) -> list[tuple[SigningKey, Turn]]:
        """All keys, the oldest first, revoked ones included, with what each does."""
        return self._rotation.turns(await self._stored.all(), self._clock.now())

    async def rotate(self) -> SigningKey:
        """Make the next key now, unless one is about to sign anyway. Return it."""
        await self.turn()
        newest = self._keys[-1]
        if self._rotation.is_known(newest, self._clock.now()):
            await self._make(next_id(await self._stored.all()))
            await self.turn()
        return self._keys[-1]

    async def revoke(self, id_: str) -> SigningKey | None:
        """Let a key sign and verify no more; make another where none is left. None: there is no such key."""
        while True:
            key = await self._stored.one(id_)
            if key is None or key.revoked_at is not None:
                break
            revoked = msgspec.structs.replace(key, sealed="", revoked_at=self._clock.now())
            if await self._stored.replace(key, revoked):
                log.warning("signing key %s is revoked: %s", key.id, key.kid)
                break
        await self.turn()
        return key

    # How

    async def _load(self) -> list[SigningKey]:
        keys = await self._stored.all()
        for key in keys:
            if "d" in key.jwk:  # of a release that kept private parts in clear
                whole = RSAKey.import_key(key.jwk)
                await self._stored.replace(key, self._shut(key, whole))
                return await self._load()
        self._seen_at = time.monotonic()
        for key in live(keys):
            if key.kid not in self._private:
                try:
                    self._private[key.kid] = self._opened(key)
                except CannotBeOpened as error:
                    log.error("this replica does not sign with key %s: %s", key.id, error)  # noqa: TRY400  # no bug
        return keys

    def _own(self, keys: Sequence[SigningKey]) -> list[SigningKey]:
        """Those that this process can sign with."""
        return [key for key in keys if key.kid in self._private]

    def _opened(self, key: SigningKey) -> RSAKey:
        """Raise CannotBeOpened."""
        return RSAKey.import_key(json.loads(self._seals.open(key.sealed, _owner(key.id))))

    def _shut(self, key: SigningKey, whole: RSAKey) -> SigningKey:
        """The key with its private part sealed, and its public part in clear."""
        sealed = self._seals.seal(json.dumps(whole.as_dict(private=True)).encode(), _owner(key.id))
        jwk = {**whole.as_dict(private=False), "use": "sig", "alg": ALGORITHMS[0]}
        return msgspec.structs.replace(key, jwk=jwk, sealed=sealed)

    async def _make(self, id_: str) -> None:
        made = await asyncio.to_thread(RSAKey.generate_key, KEY_BITS, auto_kid=True)
        key = SigningKey(id=id_, jwk={}, created_at=self._clock.now())
        if await self._stored.add(self._shut(key, made)):
            log.info("made signing key %s: %s", id_, made.kid)
        else:
            log.info("another replica made signing key %s", id_)

    async def _seal_anew(self) -> None:
        """What an older key has sealed, so that it can go."""
        for key in self._own(self._keys):
            if self._seals.is_newest(key.sealed):
                continue
            if await self._stored.replace(key, self._shut(key, self._private[key.kid])):
                log.info("signing key %s is sealed anew", key.id)

    def _take(self, keys: list[SigningKey]) -> None:
        kept = {key.kid for key in keys}
        self._private = {kid: key for kid, key in self._private.items() if kid in kept}
        self._document = json.dumps({"keys": [key.jwk for key in keys]}, separators=(",", ":")).encode()
        self._keys = keys


def _owner(id_: str) -> str:
    """Whose secret it is, for the seal."""
    return f"signingKeys/{id_}"
