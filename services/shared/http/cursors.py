"""Where a page of a list ended, for the next one to go on: a text that nobody needs to understand."""

import base64
import re
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND: Final = timedelta(milliseconds=1)
LONGEST: Final = 200
_CONTENT: Final = re.compile(r"\A(-?[0-9]{1,16})/(.+)\Z", re.DOTALL)


class Cursor(NamedTuple):
    """The last entry of a page of a list by time; `id` decides between entries of the same millisecond."""

    at: datetime
    id: str

    def encode(self) -> str:
        text = f"{(self.at - EPOCH) // MILLISECOND}/{self.id}"
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    @classmethod
    def decode(cls, text: str) -> "Cursor":
        """Raises ValueError for what `encode` did not make."""
        try:
            padded = text + "=" * (-len(text) % 4)
            [(milliseconds, id_)] = _CONTENT.findall(base64.b64decode(padded, b"-_", validate=True).decode())
            return cls(EPOCH + int(milliseconds) * MILLISECOND, id_)
        except (ValueError, OverflowError) as error:
            raise ValueError("take the cursor from nextCursor of the page before") from error


def cursor_of(text: str | None) -> Cursor | None:
    """The cursor of a request, if it has one. Raises RequestValidationError for what no list gave out."""
    from services.shared.http.validation import invalid  # noqa: PLC0415  # tools page without HTTP, and wait for none of it

    try:
        return None if text is None else Cursor.decode(text)
    except ValueError as error:
        raise invalid("query", ["cursor"], str(error)) from error
