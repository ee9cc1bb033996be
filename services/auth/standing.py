"""What happens to an account in its life, and which of it ends the account's logins: pure.

Each login remembers the account's epoch. A rule that `ends_logins` raises it, so that every login of an
earlier epoch is refused: those that exist, and those that are under way.
"""

import msgspec

from services.auth.domain import User
from services.shared.http.rights import ADMIN


def ends_logins(user: User) -> User:
    return msgspec.structs.replace(user, epoch=user.epoch + 1)


def with_newer_hash(user: User, password_hash: str) -> User:
    """The same password, hashed with the parameters of today."""
    return msgspec.structs.replace(user, password_hash=password_hash)


def with_password(user: User, password_hash: str) -> User:
    return ends_logins(with_newer_hash(user, password_hash))


def named_by_settings(user: User) -> User:
    """The administrator as the settings name it already."""
    return msgspec.structs.replace(user, seeded=True)


def appointed(user: User, password_hash: str) -> User:
    """Whoever has the address that the settings name gets the role, with their password alone."""
    roles = tuple(sorted({*user.roles, ADMIN}))
    return with_password(msgspec.structs.replace(user, roles=roles, seeded=True), password_hash)


def demoted(user: User) -> User:
    return ends_logins(msgspec.structs.replace(user, roles=(), seeded=False))
