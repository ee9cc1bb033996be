"""Codes of an authenticator app (TOTP, RFC 6238) and recovery codes, each good for one login: pure."""

import hmac
import re
from datetime import datetime
from typing import Final

import msgspec
import pyotp

from services.auth.domain import Totp, User, digest
from services.auth.standing import ends_logins
from services.shared.http.rights import Role

SECONDS: Final = 30
# The clock of a phone, and the one who types, may be a step off.
STEPS_OFF: Final = (0, -1, 1)
RECOVERY_CODES: Final = 10
# 112 bits: of so many, a hash that is fast to compute tells nothing either.
RECOVERY_BYTES: Final = 14
_CODE: Final = re.compile(r"[0-9]{6}")


def owner(user: User) -> str:
    """Whose secret it is, for the seal."""
    return f"totp/{user.id}"


def uri(secret: str, email: str, shop: str) -> str:
    """What an app reads from a QR code (the Key URI format)."""
    return pyotp.TOTP(secret).provisioning_uri(name=email, issuer_name=shop)


def recovery_code(raw: bytes) -> str:
    """As people copy it: `5f0c-91aa-07d2-e4b8-...`."""
    text = raw.hex()
    return "-".join(text[start : start + 4] for start in range(0, len(text), 4))


def begun(user: User, sealed: str, recovery_codes: list[str]) -> User:
    """With a secret that counts for nothing until a code of it was seen."""
    hashes = tuple(digest(_typed(code)) for code in recovery_codes)
    return msgspec.structs.replace(user, totp=Totp(secret=sealed, recovery=hashes))


def confirmed(user: User, totp: Totp) -> User:
    """From here on a login needs a code: those that began without one end."""
    return ends_logins(msgspec.structs.replace(user, totp=msgspec.structs.replace(totp, confirmed=True)))


def ended(user: User) -> User:
    """Whoever is logged in with a second factor that is gone logs in again."""
    return user if user.totp is None else ends_logins(msgspec.structs.replace(user, totp=None))


def with_code(totp: Totp, secret: str, code: str, now: datetime) -> Totp | None:
    """With a code of the app used up; None where it is wrong, or was used before.

    A code counts for its step, and no step counts twice, nor one before the latest (RFC 6238, 5.2).
    """
    typed = _typed(code)
    if not _CODE.fullmatch(typed):
        return None
    at = int(now.timestamp()) // SECONDS
    generate = pyotp.TOTP(secret).generate_otp
    matching = [at + off for off in STEPS_OFF if hmac.compare_digest(generate(at + off), typed)]
    fresh = [step for step in matching if step > totp.last_step]
    return msgspec.structs.replace(totp, last_step=min(fresh)) if fresh else None


def with_spent(user: User, totp: Totp) -> User:
    return msgspec.structs.replace(user, totp=totp)


def granted(user: User, *, required: bool) -> list[str]:
    """The roles that a token may name: where TOTP is required, no administrator is one without it."""
    return [role for role in user.roles if not (required and role == Role.ADMIN and not user.has_totp)]


def recovered(totp: Totp, code: str) -> Totp | None:
    """With a recovery code used up; None where it is wrong, or was used before."""
    presented = digest(_typed(code))
    left = tuple(each for each in totp.recovery if not hmac.compare_digest(each, presented))
    return None if left == totp.recovery else msgspec.structs.replace(totp, recovery=left)


def _typed(code: str) -> str:
    """Apps show codes in groups."""
    return re.sub(r"[\s-]", "", code).lower()
