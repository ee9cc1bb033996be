"""Text in plain English, and without secrets: for a terminal and for pages alike."""

import re
from typing import Final

# A body may hold them, and a screen should not show them: whoever has them may act for the customer.
SECRET: Final = re.compile(r'("(?:paymentToken|url)"\s*:\s*)"(?:[^"\\]|\\.)*"')


def masked(body: bytes) -> str:
    return SECRET.sub(r'\1"***"', body.decode(errors="replace"))


def plural(number: int, noun: str) -> str:
    if number == 1:
        return f"1 {noun}"
    return f"{number} {noun[:-1]}ies" if noun.endswith("ry") else f"{number} {noun}s"
