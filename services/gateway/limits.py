"""Which budgets a request counts against, and how long a refused one has to wait: pure."""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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

    @property
    def name(self) -> str:
        """What kind of budget it is; the key says whose."""
        return self.key.partition(":")[0]


def by_caller(
    settings: GatewaySettings, rule: Rule | None, user: User | None, address: str
) -> tuple[Budget, ...]:
    """What is counted before the body is read. Accounts are free, so their address counts as well."""
    place = limited_as(address)
    if rule is not None and rule.signed:
        return (Budget(f"signed:{place}", settings.rate_limit_address_requests),)
    if user is None:
        general: tuple[Budget, ...] = (Budget(f"address:{place}", settings.rate_limit_requests),)
    else:
        general = (
            Budget(f"user:{user.id}", settings.rate_limit_requests),
            Budget(f"accounts:{place}", settings.rate_limit_address_requests),
        )
    if rule is None or not rule.guesses:
        return general
    return (*general, Budget(f"guesses:{place}", settings.rate_limit_address_guesses))


def by_account(
    settings: GatewaySettings, rule: Rule, user: User | None, address: str, body: bytes
) -> tuple[Budget, ...]:
    """What is counted of a guess beside that: the accounts that it is about, on each path for itself."""
    place = limited_as(address)
    return tuple(
        Budget(f"guesses:{place}:{_digest(rule.path, named)}", settings.rate_limit_account_guesses)
        for named in _accounts(rule, user, body)
    )


def _accounts(rule: Rule, user: User | None, body: bytes) -> Sequence[str]:
    """How the request names accounts, one at least: what else it names gives it no budget of its own.

    The service judges the body itself.
    """
    if user is not None and not rule.open_to:
        return [f"user:{user.id}"]
    said = _object(body)
    email, token = said.get("email"), said.get("token")
    named = []
    if isinstance(email, str) and len(email) <= emails.LONGEST_TYPED:
        named.append(f"email:{emails.normalize(email)}")
    if isinstance(token, str):
        # Of a letter: its id, and the secret that may be a guess.
        named.append(f"letter:{token.partition('.')[0]}")
    return named or ["nobody"]


def _object(body: bytes) -> Mapping[str, object]:
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def _digest(path: str, named: str) -> str:
    return hashlib.blake2b(f"{path} {named}".encode(errors="replace"), digest_size=_DIGEST_BYTES).hexdigest()


class Count(NamedTuple):
    """The requests of the previous and of the current window, and the elapsed part of the current one."""

    before: int
    current: int
    elapsed: float

    @property
    def used(self) -> float:
        """Of the window that ends now: the previous one counts by the share that is still inside."""
        return self.current + self.before * (1 - self.elapsed)


@dataclass(frozen=True)
class Verdict:
    """Whether a request may go on, and how the one of its budgets stands that has the least left."""

    has_room: bool
    budget: Budget
    # With this request, where it may go on.
    count: Count

    @property
    def left(self) -> int:
        return max(0, math.floor(self.budget.limit - self.count.used))

    def seconds_to_wait(self, window: float) -> int:
        """Until a refused request has room."""
        return seconds_to_wait(self.count, self.budget.limit, window)

    def fields(self, window: float) -> dict[str, str]:
        """What the caller is told (draft-ietf-httpapi-ratelimit-headers)."""
        name, limit = self.budget.name, self.budget.limit
        seconds = (
            _at_least_one((1 - self.count.elapsed) * window)
            if self.has_room
            else self.seconds_to_wait(window)
        )
        return {
            "RateLimit-Policy": f'"{name}";q={limit};w={math.ceil(window)}',
            "RateLimit": f'"{name}";r={self.left};t={seconds}',
        }


def judged(budgets: Sequence[Budget], counts: Sequence[Count]) -> Verdict:
    """The verdict on a request with these budgets, as they stand before it."""
    budget, count = min(zip(budgets, counts, strict=True), key=lambda pair: pair[0].limit - pair[1].used)
    has_room = count.used + 1 <= budget.limit
    return Verdict(has_room, budget, count._replace(current=count.current + 1) if has_room else count)


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
