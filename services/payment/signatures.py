"""Signed webhooks: `t=TIME,v1=DIGEST`, an HMAC-SHA256 of the time and the body as it came. Pure.

The scheme is Stripe's, and the mock gateway's, too.
"""

import hashlib
import hmac
from collections.abc import Sequence
from typing import Final

from services.payment.gateway import BadSignature

# Somebody who has heard one cannot send it again later than this.
TOLERANCE_SECONDS: Final = 300
VERSION: Final = "v1"


def sign(body: bytes, secret: str, at: int) -> str:
    """The header that goes with `body`; `at` is seconds since 1970."""
    return f"t={at},{VERSION}={_digest(body, secret, at)}"


def verify(header: str, body: bytes, secrets: Sequence[str], now: float) -> None:
    """Whether it was signed with one of the secrets, of which two hold while they are exchanged.

    Raises BadSignature.
    """
    parts = [part.partition("=") for part in header.split(",")]
    times = [value for name, _, value in parts if name.strip() == "t"]
    digests = [value.encode() for name, _, value in parts if name.strip() == VERSION]
    if len(times) != 1 or not (times[0].isascii() and times[0].isdigit() and len(times[0]) < 16):  # noqa: PLR2004  # or int() refuses it
        raise BadSignature("the signature says no time")
    at = int(times[0])
    wanted = [_digest(body, secret, at).encode() for secret in secrets if secret]
    if not any(hmac.compare_digest(one, other) for one in wanted for other in digests):
        raise BadSignature("the signature is not of this body by a secret of ours")
    if abs(now - at) > TOLERANCE_SECONDS:
        raise BadSignature(f"the signature is older than {TOLERANCE_SECONDS} s, or from the future")


def _digest(body: bytes, secret: str, at: int) -> str:
    return hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
