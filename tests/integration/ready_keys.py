"""Signing keys for the auth service: to make one, and to read it, takes as long as the rest of a start."""

import json
from collections.abc import Mapping
from functools import cache
from itertools import count
from threading import Lock
from typing import Any, Final

from joserfc.jwk import RSAKey

_MADE: Final[list[RSAKey]] = []
_MAKING: Final = Lock()


class ReadyKeys:
    """In the place of `RSAKey`. No key comes twice of one of these, and those of all are the same."""

    def __init__(self) -> None:
        self._numbers = count()

    def generate_key(self, bits: int, *, auto_kid: bool) -> RSAKey:
        with _MAKING:
            number = next(self._numbers)
            if number == len(_MADE):
                _MADE.append(RSAKey.generate_key(bits, auto_kid=auto_kid))
            return _MADE[number]

    def import_key(self, jwk: Mapping[str, Any]) -> RSAKey:
        return _read(json.dumps(jwk, sort_keys=True))


@cache
def _read(jwk: str) -> RSAKey:
    return RSAKey.import_key(json.loads(jwk))
