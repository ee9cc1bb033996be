"""Idempotency keys of HTTP commands: the same key again gives what it gave, for a day.

The key is stored in the transaction of what it caused, so neither exists without the other; of two replicas
that get it at once, the second is turned away by the `_id` and finds the first one's key.
"""

import hashlib
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import ClassVar, Final, NamedTuple

import msgspec
from msgspec import Struct, structs

from services.shared.contract.decisions import (
    Aggregate,
    Decision,
    Domain,
    KeyReused,
    Loaded,
    Message,
    Ref,
    Verdict,
)

# Also of the collection's TTL index on `at`, which is up to a minute late: `earlier_subject` is exact.
LIFETIME: Final = timedelta(hours=24)


class IdempotencyKey(Aggregate, frozen=True, kw_only=True):
    """`_id` is `key_id(scope, key)`: keys of different callers or commands do not meet."""

    collection: ClassVar[str] = "idempotency"
    # A hash: the request itself may hold what should not be kept.
    request: str
    # What the command created, or changed.
    subject: str
    at: datetime


class Key(NamedTuple):
    """A key as a command carries it: its `key_id`, and the `request_hash` of all that was asked with it."""

    id: str
    request: str


class Keyed(Struct, frozen=True, kw_only=True):
    """A command that is carried out once for each key, where it has one."""

    key: Key | None = None


def key_id(scope: str, key: str) -> str:
    return f"{scope}/{key}"


def request_hash(request: object) -> str:
    """The same for equal requests: what msgspec can encode, whatever the order of its keys."""
    return hashlib.sha256(msgspec.json.encode(request, order="deterministic")).hexdigest()


def key_of(scope: str, given: str | None, request: object) -> Key | None:
    """The key of a command, where the caller has given one."""
    return Key(key_id(scope, given), request_hash(request)) if given else None


def earlier_subject(found: IdempotencyKey | None, key: Key, at: datetime) -> str | None:
    """The subject that the key's first use gave, or None when this, at `at`, is its first use.

    Raises KeyReused when the key was used for another request.
    """
    if found is None or found.at + LIFETIME <= at:
        return None
    if found.request != key.request:
        raise KeyReused("this idempotency key was used for another request: send a new key")
    return found.subject


def once(domain: Domain) -> Domain:
    """The same rules, by which a command with a key is carried out once: again, it finds what it is about as
    that is now. What is refused leaves no key, and may be asked for again with it.
    """

    def reads(message: Message, loaded: Loaded) -> Iterable[Ref]:
        yield from domain.reads(message, loaded)
        if (key := _key(message)) is not None:
            yield Ref(IdempotencyKey, key.id)
            if (found := loaded.get(IdempotencyKey, key.id)) is not None:
                yield Ref(domain.home(message).kind, found.subject)

    def decide(loaded: Loaded, message: Message) -> Decision:
        if (key := _key(message)) is None:
            return domain.decide(loaded, message)
        home, found = domain.home(message), loaded.get(IdempotencyKey, key.id)
        earlier = earlier_subject(found, key, message.at)
        if earlier is not None:
            return Decision(reply=loaded.get(home.kind, earlier), verdict=Verdict.DUPLICATE, replayed=True)
        decision = domain.decide(loaded, message)
        used = IdempotencyKey(
            id=key.id,
            version=found.version if found else 0,
            request=key.request,
            subject=home.id,
            at=message.at,
        )
        return structs.replace(decision, changed=(*decision.changed, used))

    return Domain(home=domain.home, reads=reads, decide=decide)


def _key(message: Message) -> Key | None:
    return message.body.key if isinstance(message.body, Keyed) else None
