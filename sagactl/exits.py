"""How a command ends, for scripts: the same codes for all commands."""

from enum import IntEnum
from typing import Self


class Exit(IntEnum):
    """An exit code, and what it means."""

    means: str

    def __new__(cls, code: int, means: str) -> Self:
        new = int.__new__(cls, code)
        new._value_ = code
        new.means = means
        return new

    FINE = 0, "everything is as it should be, or was done"
    BAD = 1, "something is wrong with the shop, was not found, or was refused"
    USAGE = 2, "the command line is wrong, or does not say where the shop is"
    NOT_YET = 3, "something is under way, or must be done first"
    UNREACHED = 4, "a server does not answer, or not as expected: the result is unknown"
    NOT_ALLOWED = 5, "a server refuses this user, or this action"
    INTERRUPTED = 130, "interrupted"


EPILOG = "Exit codes: " + "; ".join(f"{code}: {code.means}" for code in Exit) + "."
