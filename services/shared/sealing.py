"""Secrets at rest: what is in the database, or in a backup of it, is of no use without a key from elsewhere.

AES-256-GCM; HMAC-SHA-256 for what only has to be known again. The first of the keys seals, all of them open,
so that one key can follow another: add the new one at the end, so that every replica opens what it seals; put
it first; wait until everything that was sealed by the old one is sealed anew, then drop that.
"""

import base64
import hashlib
import hmac
import os
from collections.abc import Sequence
from typing import Final, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
VERSION: Final = "1"
PARTS: Final = 3


class CannotBeOpened(Exception):
    """It was sealed with a key that is not among ours, or as something else, or it was changed since."""


class Seals:
    """Seals and opens with `keys` of 32 bytes each; there is at least one. `setting` is where they are."""

    def __init__(self, keys: Sequence[bytes], setting: str = "SECRETS_KEY") -> None:
        self._setting = setting
        self._ciphers = {_name(key): AESGCM(key) for key in keys}
        self._newest = _name(keys[0])
        # Not the key itself: for each purpose one of its own follows from it.
        self._proving = [_digest(key, "sagashop proof") for key in keys]

    @classmethod
    def parse(cls, text: str, setting: str = "SECRETS_KEY") -> Self:
        """Take keys in Base64, the newest first, separated by commas. Raises ValueError."""
        return cls([_key(part.strip()) for part in text.split(",")], setting)

    def seal(self, secret: bytes, what: str) -> str:
        """`what` says whose secret it is, such as "totp/<user id>": it opens as nothing else.

        The answer has characters of URLs only: version, name of the key, nonce and ciphertext.
        """
        nonce = os.urandom(NONCE_BYTES)
        sealed = nonce + self._ciphers[self._newest].encrypt(nonce, secret, what.encode())
        return ".".join((VERSION, self._newest, base64.urlsafe_b64encode(sealed).decode()))

    def open(self, sealed: str, what: str) -> bytes:
        """Raises CannotBeOpened."""
        version, name, text = (*sealed.split("."), "", "")[:PARTS]
        cipher = self._ciphers.get(name)
        if version != VERSION or cipher is None:
            raise CannotBeOpened(f"{what} is sealed with a key that {self._setting} does not hold")
        try:
            data = base64.b64decode(text, altchars=b"-_", validate=True)
            return cipher.decrypt(data[:NONCE_BYTES], data[NONCE_BYTES:], what.encode())
        except (InvalidTag, ValueError) as error:
            raise CannotBeOpened(f"{what} was changed after it was sealed, or is another's") from error

    def proof(self, what: str) -> str:
        """What nobody without the key can tell of `what`, always the same: 256 bits, characters of URLs."""
        return _proof(self._proving[0], what)

    def is_proof(self, said: str, what: str) -> bool:
        """Whether one of the keys makes it of `what`."""
        given = said.encode()
        return any(hmac.compare_digest(given, _proof(key, what).encode()) for key in self._proving)

    @property
    def newest(self) -> str:
        """What begins all that the key has sealed that seals now."""
        return f"{VERSION}.{self._newest}."

    def is_newest(self, sealed: str) -> bool:
        """Whether the key that seals now has sealed it; if not, open it and seal it anew."""
        return sealed.startswith(self.newest)


def _key(text: str) -> bytes:
    try:
        key = base64.b64decode(text, validate=True)
    except ValueError:  # binascii.Error is one
        key = b""
    if len(key) != KEY_BYTES:
        raise ValueError("each key is 32 random bytes in Base64, as `openssl rand -base64 32` makes them")
    return key


def _digest(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), "sha256")


def _proof(key: bytes, what: str) -> str:
    return base64.urlsafe_b64encode(_digest(key, what)).rstrip(b"=").decode()


def _name(key: bytes) -> str:
    """Tells keys apart, and says nothing of them: they are random, and too many to try."""
    return hashlib.sha256(b"sagashop seal" + key).hexdigest()[:8]
