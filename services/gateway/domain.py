"""Which requests go where: an allow-list of path prefixes. Whatever is not on it does not exist out here."""

import re
from collections.abc import Mapping
from typing import Final, NamedTuple
from urllib.parse import unquote_to_bytes

_READ: Final = frozenset({"GET", "HEAD"})
_NONE: Final[frozenset[str]] = frozenset()
METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
# A segment as its service will see it: nothing that splits or ends a path, nothing encoded twice.
_SEGMENT: Final = re.compile(r"[^/\\%?#;\x00-\x20\x7f]+")


class Rule(NamedTuple):
    """Everything below `path` goes to `service`."""

    path: str
    service: str
    # The methods that work without a token. What a token allows, the service decides.
    open_to: frozenset[str]
    # Guessing passwords is limited more strictly than anything else.
    guesses: bool = False

    def needs_token(self, method: str) -> bool:
        return method not in self.open_to


RULES: Final = (
    Rule("/auth", "auth", METHODS),
    Rule("/auth/login", "auth", METHODS, guesses=True),
    Rule("/auth/register", "auth", METHODS, guesses=True),
    Rule("/auth/me", "auth", _NONE),
    Rule("/.well-known/jwks.json", "auth", METHODS),
    Rule("/api/products", "product", _READ),
    Rule("/api/inventory", "inventory", _READ),
    Rule("/api/orders", "order", _NONE),
    Rule("/api/payments", "payment", _NONE),
)
_BY_SEGMENTS: Final[Mapping[tuple[str, ...], Rule]] = {
    tuple(rule.path[1:].split("/")): rule for rule in RULES
}


class PathRefused(ValueError):
    """The path could mean one thing here and another behind us."""


def rule_for(raw_path: bytes) -> Rule | None:
    """The rule for a path as it came over the wire, or None where nothing is. Raise PathRefused."""
    path = segments(raw_path)
    return _BY_SEGMENTS.get(path[:2]) or _BY_SEGMENTS.get(path[:1])


def segments(raw_path: bytes) -> tuple[str, ...]:
    """The decoded segments. Raise PathRefused for empty ones, dots, and separators in disguise."""
    if not raw_path.startswith(b"/") or not raw_path.isascii():
        raise PathRefused("a path is made of ASCII characters and starts with /")
    return tuple(_decoded(segment) for segment in raw_path[1:].split(b"/"))


def _decoded(segment: bytes) -> str:
    try:
        text = (unquote_to_bytes(segment) if b"%" in segment else segment).decode()
    except UnicodeDecodeError:
        raise PathRefused("the path is not UTF-8") from None
    if not _SEGMENT.fullmatch(text) or text in (".", ".."):
        raise PathRefused("the path has an empty segment, a dot segment or a forbidden character")
    return text
