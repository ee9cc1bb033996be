"""Text for a terminal: without control characters and secrets, and in plain English."""

import re
from typing import Final

from rich.markup import escape

# A body may hold them, and a screen should not show them: whoever has them may act for the customer.
SECRET: Final = re.compile(r'("(?:paymentToken|url)"\s*:\s*)"(?:[^"\\]|\\.)*"')


def printable(text: str) -> str:
    """Make text that others wrote safe for rich's `print`."""
    return escape("".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in text))


def masked(body: bytes) -> str:
    return SECRET.sub(r'\1"***"', body.decode(errors="replace"))


def plural(number: int, noun: str) -> str:
    if number == 1:
        return f"1 {noun}"
    return f"{number} {noun[:-1]}ies" if noun.endswith("ry") else f"{number} {noun}s"
