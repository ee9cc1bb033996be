"""Text for a terminal: without control characters."""

from rich.markup import escape


def printable(text: str) -> str:
    """Make text that others wrote safe for rich's `print`."""
    return escape("".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in text))
