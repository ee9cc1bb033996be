"""Which requests go where: an allow-list of path prefixes. Whatever is not on it does not exist out here."""

import re
from collections.abc import Mapping
from typing import Final, NamedTuple
from urllib.parse import unquote_to_bytes

from services.shared.contract import ids
from services.shared.http.verbs import METHODS
from services.shared.settings import BODY_LIMIT_BYTES, WEBHOOK_LIMIT_BYTES

_READ: Final = frozenset({"GET", "HEAD"})
_NONE: Final[frozenset[str]] = frozenset()
# A segment as its service will see it: nothing that splits or ends a path, nothing encoded twice.
_DOTS: Final = ("", ".", "..")
_SEGMENT: Final = re.compile(r"[^/\\%?#;\x00-\x20\x7f]+")


class Rule(NamedTuple):
    """Everything below `path` goes to `service`. A segment `*` is any id: the rest has a rule of its own."""

    path: str
    service: str
    # The methods that work without a token. What a token allows, the service decides.
    open_to: frozenset[str]
    # Guessing passwords is limited more strictly than anything else.
    guesses: bool = False
    # Every segment after the second is an id, or a word that could be one.
    names_ids: bool = False
    # What is answered to GET may be a stream, which lasts.
    streams: bool = False
    # Machines of others come by it, who sign what they say: of one address, as much as of many customers.
    signed: bool = False

    @property
    def body_limit(self) -> int:
        return WEBHOOK_LIMIT_BYTES if self.signed else BODY_LIMIT_BYTES

    def needs_token(self, method: str) -> bool:
        # What a path may be asked for is no secret: the description says it, too.
        return method not in self.open_to and method != "OPTIONS"


RULES: Final = (
    Rule("/auth", "auth", METHODS),
    Rule("/auth/login", "auth", METHODS, guesses=True),
    Rule("/auth/register", "auth", METHODS, guesses=True),
    Rule("/auth/verify", "auth", METHODS, guesses=True),
    Rule("/auth/reset", "auth", METHODS, guesses=True),
    Rule("/auth/password", "auth", _NONE, guesses=True),
    Rule("/auth/totp", "auth", _NONE, guesses=True),
    Rule("/auth/logout-all", "auth", _NONE),
    Rule("/auth/accounts", "auth", _NONE),
    Rule("/auth/keys", "auth", _NONE),
    Rule("/auth/me", "auth", _NONE),
    Rule("/.well-known/jwks.json", "auth", METHODS),
    Rule("/api/products", "product", _READ, names_ids=True),
    Rule("/api/inventory", "inventory", _READ, names_ids=True),
    Rule("/api/inventory/*/moves", "inventory", _NONE, names_ids=True),
    Rule("/api/orders", "order", _NONE, names_ids=True),
    Rule("/api/orders/*/events", "order", _NONE, names_ids=True, streams=True),
    Rule("/api/payments", "payment", _NONE, names_ids=True),
    # Signed by the payment gateway, which has no token.
    Rule("/api/payments/webhooks", "payment", frozenset({"POST"}), signed=True),
    Rule("/api/webhooks", "notification", _NONE, names_ids=True),
    Rule("/api/notifications/*/resend", "notification", _NONE, names_ids=True),
    Rule("/api/fulfilments", "fulfilment", _NONE, names_ids=True),
)
_BY_SEGMENTS: Final[Mapping[tuple[str, ...], Rule]] = {
    tuple(rule.path[1:].split("/")): rule for rule in RULES
}


class PathRefused(ValueError):
    """The path could mean one thing here and another behind us."""


class NotAnId(PathRefused):
    """The path names what is no id. The services say the same of it."""


def rule_for(raw_path: bytes) -> Rule | None:
    """The rule for a path as it came over the wire, or None where nothing is. Raises PathRefused, NotAnId."""
    path = _decoded(raw_path)
    rule = _rule_of(path)
    if rule is not None and rule.names_ids and not all(_is_id(segment) for segment in path[2:]):
        raise NotAnId(ids.LOOKS_LIKE)
    _check(path)
    return rule


def _is_id(segment: str) -> bool:
    """Dots are refused later, for what they are."""
    return segment in _DOTS or ids.is_id(segment)


def rule_of(template: str) -> Rule | None:
    """The rule for a path as a service describes it: `/api/orders/{order_id}`."""
    return _rule_of(tuple(template[1:].split("/")))


def segments(raw_path: bytes) -> tuple[str, ...]:
    """The decoded segments. Raises PathRefused for empty ones, dots, and separators in disguise."""
    path = _decoded(raw_path)
    _check(path)
    return path


def _rule_of(path: tuple[str, ...]) -> Rule | None:
    return (
        _BY_SEGMENTS.get((*path[:2], "*", *path[3:4]))
        or _BY_SEGMENTS.get(path[:3])
        or _BY_SEGMENTS.get(path[:2])
        or _BY_SEGMENTS.get(path[:1])
    )


def _check(path: tuple[str, ...]) -> None:
    if path == ("",):  # the root
        return
    for segment in path:
        if segment in _DOTS or not _SEGMENT.fullmatch(segment):
            raise PathRefused(
                "the path has an empty segment, a dot segment or a character that has to stay out"
            )


def _decoded(raw_path: bytes) -> tuple[str, ...]:
    if not raw_path.startswith(b"/") or not raw_path.isascii():
        raise PathRefused("a path is made of ASCII characters and starts with /")
    try:
        return tuple(
            (unquote_to_bytes(segment) if b"%" in segment else segment).decode()
            for segment in raw_path[1:].split(b"/")
        )
    except UnicodeDecodeError:
        raise PathRefused("the path is not UTF-8") from None
