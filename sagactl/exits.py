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

    FINE = 0, "all is as it should be, or has been done"
    BAD = 1, "something is wrong with the shop, is not there, or is refused"
    USAGE = 2, "the command cannot be understood, or does not know where the shop is"
    NOT_YET = 3, "something is on its way, or is to be done first"
    UNREACHED = 4, "a server does not answer, or not as it should: nobody can tell"
    NOT_ALLOWED = 5, "a server does not let this user in, or do this"
    INTERRUPTED = 130, "interrupted"


EPILOG = "Exit codes: " + "; ".join(f"{code}: {code.means}" for code in Exit) + "."
