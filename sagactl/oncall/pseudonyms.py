"""What stands where a customer was named, once they are erased: pure.

Texts are changed in place and not parsed: a dead letter may be anybody's, and stays what it was otherwise.
"""

import json
import re
from collections.abc import Collection, Mapping
from typing import Any, Final

from services.shared.contract.events import RefundPayment, RefundRequested

# Nobody's: RFC 2606 keeps `.invalid` free. Events have to name an address.
ADDRESS: Final = "erased@customer.invalid"
TEXT: Final = "erased"
_TOKEN: Final = re.compile(r'("(?:paymentToken|url)"\s*:\s*)"(?:[^"\\]|\\.)*"')
# What customers type, and the events that carry it; the reasons of others are the shop's own words.
_REASON: Final = re.compile(r'("reason"\s*:\s*)"(?:[^"\\]|\\.)*"')
_TYPED: Final = tuple(f'"{event.type}"' for event in (RefundRequested, RefundPayment))

# An address that only ends or begins with it is another's. Before it may be a line's end, as JSON has it.
_BEFORE: Final = r"(?:(?<![\w.+%'-])|(?<=\\[bfnrt]))"
_AFTER: Final = r"(?![\w-]|\.\w)"


class Names:
    """How texts name a customer: by the address, however it is spelled, and by the ids of their orders."""

    def __init__(self, email: str, orders: Collection[str]) -> None:
        self._email = re.compile(_BEFORE + "".join(map(_spelled, email)) + _AFTER, re.IGNORECASE)
        self._orders = [json.dumps(order) for order in orders]

    def without(self, text: str) -> str:
        """The text without the address."""
        return self._email.sub(ADDRESS, text)

    def body_without(self, body: bytes) -> bytes:
        """A message's body without the address, and without what they gave for their own orders."""
        text = self.without(body.decode(errors="surrogateescape"))
        if any(order in text for order in self._orders):
            text = _TOKEN.sub(rf'\1"{TEXT}"', text)
            if any(type_ in text for type_ in _TYPED):
                text = _REASON.sub(rf'\1"{TEXT}"', text)
        return text.encode(errors="surrogateescape")

    def headers_without(self, headers: Mapping[str, Any]) -> dict[str, Any]:
        return {
            name: self.without(value) if isinstance(value, str) else value for name, value in headers.items()
        }


def _spelled(character: str) -> str:
    """As itself, small or large, and as JSON may escape it."""
    forms = {character, character.lower(), character.upper()}
    forms |= {"".join(f"\\u{unit:04x}" for unit in _units(form)) for form in forms}
    return f"(?:{'|'.join(map(re.escape, sorted(forms)))})"


def _units(character: str) -> list[int]:
    raw = character.encode("utf-16-be")
    return [int.from_bytes(raw[start : start + 2]) for start in range(0, len(raw), 2)]
