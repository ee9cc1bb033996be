"""What each role may do beside what every customer may: the one table that all services ask."""

from collections.abc import Iterable, Mapping
from enum import StrEnum, auto
from typing import Final


class Right(StrEnum):
    # Everybody's orders, payments, notifications, and what is reserved and sold of a product.
    READ_ORDERS = auto()
    CANCEL_ORDERS = auto()
    REFUND_ORDERS = auto()
    # Tell a customer by mail once more what they were told.
    RESEND_MAILS = auto()
    # What the operator does where there is none: see what is stale, and compensate it.
    OPERATE = auto()
    EDIT_PRODUCTS = auto()
    RESTOCK = auto()
    # Say that goods are sent, and that they have arrived.
    SHIP = auto()
    MANAGE_ACCOUNTS = auto()
    # Those that access tokens are signed with.
    MANAGE_KEYS = auto()
    MANAGE_WEBHOOKS = auto()


class Role(StrEnum):
    ADMIN = auto()
    SUPPORT = auto()
    VIEWER = auto()


ROLES: Final[Mapping[str, frozenset[Right]]] = {
    Role.ADMIN: frozenset(Right),
    Role.SUPPORT: frozenset({Right.READ_ORDERS, Right.CANCEL_ORDERS, Right.RESEND_MAILS}),
    Role.VIEWER: frozenset({Right.READ_ORDERS}),
}


def known_roles(claim: object) -> tuple[str, ...]:
    """Of what a token says; what is no list of names gives none."""
    said = claim if isinstance(claim, list | tuple) else ()
    return tuple(sorted({role for role in said if isinstance(role, str) and role in ROLES}))


def rights_of(roles: Iterable[str]) -> frozenset[Right]:
    """A role that is not known here gives nothing."""
    return frozenset[Right]().union(*(ROLES.get(role, ()) for role in roles))


def refusal(right: Right) -> str:
    """Whom to ask, in the words of an answer."""
    roles = [role for role, rights in ROLES.items() if right in rights]
    return f"this is for the role {' or '.join(roles)}"
