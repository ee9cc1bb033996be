"""What happens to an account in its life, and which of it ends the account's logins: pure.

Each login remembers the account's epoch. A rule that `ends_logins` raises it, so that every login of an
earlier epoch is refused: those that exist, and those that are under way.
"""

from collections.abc import Iterable

import msgspec

from services.auth.domain import User
from services.shared.http.rights import Role


def ends_logins(user: User) -> User:
    return msgspec.structs.replace(user, epoch=user.epoch + 1)


def with_newer_hash(user: User, password_hash: str) -> User:
    """The same password, hashed with the parameters of today."""
    return msgspec.structs.replace(user, password_hash=password_hash)


def with_password(user: User, password_hash: str) -> User:
    return ends_logins(with_newer_hash(user, password_hash))


def verified(user: User) -> User:
    """Its owner reads what is sent to its address."""
    return msgspec.structs.replace(user, verified=True)


def reset_by_letter(user: User, password_hash: str) -> User:
    """Whoever read the letter has the address.

    Where nobody had shown that before, a second factor may be of somebody who registered another's address:
    it would lock the owner out. Whoever has a role is known to the shop by other means.
    """
    if not (user.verified or user.roles):
        user = msgspec.structs.replace(user, totp=None)
    return verified(with_password(user, password_hash))


def named_by_settings(user: User) -> User:
    """The administrator as the settings name it already."""
    return msgspec.structs.replace(user, seeded=True)


def with_roles(user: User, roles: Iterable[str]) -> User:
    """Whoever loses a role has to log in again."""
    new = frozenset(map(str, roles))
    seeded = user.seeded and Role.ADMIN in new
    changed = msgspec.structs.replace(user, roles=tuple(sorted(new)), seeded=seeded)
    return changed if new >= set(user.roles) else ends_logins(changed)


def appointed(user: User, password_hash: str) -> User:
    """Whoever has the address that the settings name gets the role, with their password alone.

    A second factor that somebody else set up for the address would lock them out.
    """
    administrator = with_roles(user, {*user.roles, Role.ADMIN})
    if not user.seeded:
        administrator = msgspec.structs.replace(administrator, totp=None)
    return with_password(named_by_settings(administrator), password_hash)


def disabled(user: User) -> User:
    return user if user.disabled else ends_logins(msgspec.structs.replace(user, disabled=True))


def enabled(user: User) -> User:
    return msgspec.structs.replace(user, disabled=False)
