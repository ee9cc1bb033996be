"""Which passwords are too weak for an account."""

from importlib.resources import files
from typing import Final

# NIST SP 800-63B: 8 characters at least, room for 64, no rules about which, and a list of what is refused.
LENGTHS: Final = range(8, 129)
COMMON: Final = frozenset(
    line
    for line in files("services.auth").joinpath("common_passwords.txt").read_text().splitlines()
    if not line.startswith("#")
)


def check_password(password: str, email: str) -> None:
    """Raise ValueError when `password` is too weak for the account of `email`."""
    if len(password) not in LENGTHS:
        shortest, longest = LENGTHS[0], LENGTHS[-1]
        raise ValueError(f"a password has {shortest} to {longest} characters, this one has {len(password)}")
    folded = password.casefold()
    if folded in _parts(email.casefold()):
        raise ValueError("the password must not be the e-mail address or a part of it")
    if folded in COMMON:
        raise ValueError("this password is one of the most common ones: choose another")


def _parts(email: str) -> set[str]:
    mailbox, _, host = email.partition("@")
    return {email, mailbox, host, *host.split(".")}
