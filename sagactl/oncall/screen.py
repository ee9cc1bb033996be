"""What may be shown on a terminal: nothing that steers it, no secrets."""

import re
from typing import Final

from rich.markup import escape

# What a body may hold and a screen should not.
SECRET: Final = re.compile(r'("paymentToken"\s*:\s*)"(?:[^"\\]|\\.)*"')


def printable(text: str) -> str:
    """What others wrote, for rich's `print`."""
    return escape("".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in text))


def masked(body: bytes) -> str:
    return SECRET.sub(r'\1"***"', body.decode(errors="replace"))
