"""Headers that a request may have once: of two, one part of the shop would believe this and another that."""

from collections.abc import Iterable, Mapping
from typing import Final

ONCE: Final = frozenset({b"authorization", b"content-type", b"host", b"idempotency-key", b"if-match"})


def repeated(headers: Iterable[tuple[bytes, bytes]], by_name: Mapping[bytes, bytes]) -> str | None:
    """The name of such a header that comes twice. `by_name` are the same headers, without repetitions."""
    names = [name for name, _ in headers]
    if len(names) == len(by_name):
        return None
    return next((name.decode() for name in sorted(ONCE) if names.count(name) > 1), None)
