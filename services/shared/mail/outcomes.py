"""What became of a mail: pure."""

from msgspec import Struct


class Sent(Struct, frozen=True):
    """The mail server has taken the mail on."""


class Undeliverable(Struct, frozen=True):
    """The mail server will not take it, however often it is asked."""

    reason: str
