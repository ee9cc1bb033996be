"""Headers that keep an answer from being misread, framed or kept, where its route does not say better."""

from collections.abc import Sequence
from typing import Final, TypeAlias

Headers: TypeAlias = Sequence[tuple[bytes, bytes]]

ALWAYS: Final[Headers] = (
    (b"x-content-type-options", b"nosniff"),
    # What is no page loads nothing and is shown in no frame; a page brings a policy of its own.
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)
# What is answered to somebody in particular.
PERSONAL: Final[Headers] = (*ALWAYS, (b"cache-control", b"no-store"))


def completed(headers: Headers, *, is_personal: bool) -> list[tuple[bytes, bytes]]:
    """With those that are missing."""
    there = {name.lower() for name, _ in headers}
    wanted = PERSONAL if is_personal else ALWAYS
    return [*headers, *(header for header in wanted if header[0] not in there)]
