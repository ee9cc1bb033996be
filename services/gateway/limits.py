"""Which budgets a request counts against, and how long a refused one has to wait: pure."""

import hashlib
import json
import math
from typing import Final, NamedTuple

from services.gateway.callers import limited_as
from services.gateway.domain import Rule
from services.gateway.settings import GatewaySettings
from services.shared import emails
from services.shared.http.auth import User

_DIGEST_BYTES: Final = 12


class Budget(NamedTuple):
    """How many requests per window the holder of the key may make."""

    key: str
    limit: int


def budgets(
    settings: GatewaySettings, rule: Rule, user: User | None, address: str, body: bytes
) -> tuple[Budget, ...]:
    """The budgets of a request: it goes on if all of them have room."""
    place = limited_as(address)
    general = Budget(f"user:{user.id}" if user else f"address:{place}", settings.rate_limit_requests)
    if not rule.guesses:
        return (general,)
    return (
        general,
        Budget(f"guesses:{place}", settings.rate_limit_address_guesses),
        Budget(f"guesses:{place}:{_account(body)}", settings.rate_limit_account_guesses),
    )


def _account(body: bytes) -> str:
    """The key of the account that a password is tried for; the service judges the body itself."""
    try:
        email = json.loads(body)["email"]
    except (ValueError, KeyError, TypeError, RecursionError):
        email = None
    known = emails.normalize(email) if isinstance(email, str) else ""
    return hashlib.blake2b(known.encode(errors="replace"), digest_size=_DIGEST_BYTES).hexdigest()


class Count(NamedTuple):
    """The requests of the previous and of the current window, and the elapsed part of the current one."""

    before: int
    current: int
    elapsed: float


def seconds_to_wait(count: Count, limit: int, window: float) -> int:
    """Return the whole seconds until there is room for one more request, at least 1."""
    if count.current + 1 <= limit:
        # This window has room once enough of the one before has slid out.
        share = 1 - (limit - 1 - count.current) / count.before
        return _at_least_one((share - count.elapsed) * window)
    share = 1 - (limit - 1) / count.current
    return _at_least_one((1 - count.elapsed + share) * window)


def _at_least_one(seconds: float) -> int:
    return max(1, math.ceil(seconds))
