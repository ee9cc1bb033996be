"""A delivery whose properties cannot be decoded is that message's fault, not its connection's.

The client library decodes properties in the task that reads the connection: what it cannot decode ends the
connection, the broker delivers the message again, and after the delivery limit its innocent neighbours are
dead letters, too. Here such a message arrives without properties, and says so.
"""

from typing import Final

from pamqp.commands import Basic
from pamqp.header import ContentHeader

_ATTRIBUTE: Final = "unreadable"
_decode: Final = ContentHeader.unmarshal


def install() -> None:
    """Makes the library's decoder lenient, for all connections of the process."""
    ContentHeader.unmarshal = _unmarshal  # type: ignore[method-assign, assignment]  # the one place where all headers pass


def unreadable(header: ContentHeader) -> str | None:
    """What was wrong with the properties of a message, if anything was."""
    reason: str | None = getattr(header, _ATTRIBUTE, None)
    return reason


def _unmarshal(header: ContentHeader, data: bytes) -> None:
    try:
        _decode(header, data)
    except Exception as error:  # noqa: BLE001  # whatever bytes may lead to: bad UTF-8, dates, lengths, types
        # The size of the body comes before the properties, and is known.
        header.properties = Basic.Properties()
        setattr(header, _ATTRIBUTE, f"its properties cannot be read: {error}")
