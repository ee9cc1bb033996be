"""Standard Webhooks: what a secret looks like, and the headers by which a receiver knows who calls. Pure.

https://www.standardwebhooks.com, version 1.0.0: symmetric signatures, `v1`.
"""

import base64
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

PREFIX: Final = "whsec_"
# Of 24 to 64.
SECRET_BYTES: Final = 32


def shown(secret: bytes) -> str:
    """As a receiver is given it."""
    return PREFIX + base64.b64encode(secret).decode()


def signature(secret: bytes, id_: str, timestamp: int, body: bytes) -> str:
    """`id_` has no full stop: it ends where the first one is."""
    signed = b"%s.%d.%s" % (id_.encode(), timestamp, body)
    return "v1," + base64.b64encode(hmac.digest(secret, signed, hashlib.sha256)).decode()


def headers(id_: str, at: datetime, body: bytes, secrets: Sequence[bytes]) -> Mapping[str, str]:
    """Of a call that is made at `at`: signed by each of the secrets, of which the receiver knows one."""
    timestamp = int(at.timestamp())
    return {
        "webhook-id": id_,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(signature(secret, id_, timestamp, body) for secret in secrets),
    }
