"""The audit trail: who did what to what, from where, and what came of it.

Ids alone: an entry outlives what it is about, and is read by who may see neither secrets nor mail addresses.
"""

import re
from datetime import datetime
from enum import StrEnum
from typing import Final

from msgspec import Struct, field

_MAIL: Final = re.compile(r"\S+@\S+")
# Who has a trail: the services in which people act, the console, and the tools.
TRAILS: Final = ("auth", "console", "fulfilment", "inventory", "notification", "order", "product", "sagactl")
# Of a text that came with a request.
LONGEST: Final = 300


class Action(StrEnum):
    """What leaves an entry, each time it is done."""

    REGISTERED = "account.registered"
    LOGIN = "login"
    TOKEN_REUSED = "token.reused"  # noqa: S105  # the name of an event
    PASSWORD_CHANGED = "password.changed"  # noqa: S105  # the name of an event
    PASSWORD_RESET = "password.reset"  # noqa: S105  # the name of an event
    EMAIL_VERIFIED = "email.verified"
    SECOND_FACTOR_BEGUN = "second-factor.begun"
    SECOND_FACTOR_ENDED = "second-factor.ended"
    LOGINS_ENDED = "logins.ended"
    ACCOUNT_CHANGED = "account.changed"
    ACCOUNT_ERASED = "account.erased"
    KEY_ROTATED = "key.rotated"
    KEY_REVOKED = "key.revoked"
    PRODUCT_CREATED = "product.created"
    PRODUCT_CHANGED = "product.changed"
    PRODUCT_DELETED = "product.deleted"
    RESTOCKED = "stock.restocked"
    STOCK_ADJUSTED = "stock.adjusted"
    # By others than the customer.
    ORDER_CANCELLED = "order.cancelled"
    ORDER_REFUNDED = "order.refunded"
    REFUND_SETTLED_OUTSIDE = "refund.settled-outside"
    ORDER_COMPENSATED = "order.compensated"
    ORDER_SHIPPED = "order.shipped"
    ORDER_DELIVERED = "order.delivered"
    MAIL_RESENT = "mail.resent"
    WEBHOOK_CREATED = "webhook.created"
    WEBHOOK_CHANGED = "webhook.changed"
    WEBHOOK_SECRET_ROTATED = "webhook.secret-rotated"  # noqa: S105  # the name of an event
    WEBHOOK_ENABLED = "webhook.enabled"
    WEBHOOK_DELETED = "webhook.deleted"
    WEBHOOK_REPLAYED = "webhook.replayed"
    CUSTOMER_EXPORTED = "customer.exported"
    CUSTOMER_ERASED = "customer.erased"
    LETTERS_REDRIVEN = "letters.redriven"
    LETTER_DELETED = "letter.deleted"
    LETTER_RESTORED = "letter.restored"
    ORDER_REPAIRED = "order.repaired"


class Outcome(StrEnum):
    DONE = "done"
    REFUSED = "refused"
    # The first half of it: the password was right, and a code of the second factor is asked for.
    HALFWAY = "halfway"
    # Written before it was tried: what became of it is seen where it was done.
    ASKED = "asked"


class Kind(StrEnum):
    USER = "user"
    # A service account of the cluster.
    OPERATOR = "operator"
    # A person with the tools' passwords, by the name that they have on their machine: a claim, no proof.
    TOOL = "sagactl"
    # One of the services, by its settings.
    SERVICE = "service"
    # Who could not show who they are.
    NOBODY = "nobody"


class Actor(Struct, frozen=True, rename="camel", omit_defaults=True):
    id: str
    kind: Kind
    # When it was done; they may have changed since.
    roles: tuple[str, ...] = ()


NOBODY: Final = Actor("", Kind.NOBODY)


class By(Struct, frozen=True):
    """Who asks for something, and from where."""

    actor: Actor
    # As the gateway counts callers; of who does not come through it, the peer's.
    address: str
    request_id: str | None = None


class Entry(Struct, frozen=True, rename="camel", kw_only=True):
    """Something that was done, or was refused. Written once, and never changed."""

    id: str = field(name="_id")
    at: datetime
    action: Action
    outcome: Outcome = Outcome.DONE
    actor: Actor
    # The id of what it was done to; empty where nobody knows.
    subject: str
    address: str
    request_id: str | None
    # A code, or what a program gives as one: what people type would outlive a customer's erasure.
    reason: str | None = None
    # What was changed: amounts, roles, names of fields.
    detail: str = ""


def entry(
    id_: str,
    at: datetime,
    by: By,
    action: Action,
    subject: str,
    *,
    outcome: Outcome = Outcome.DONE,
    reason: str | None = None,
    detail: str = "",
) -> Entry:
    return Entry(
        id=id_,
        at=at,
        action=action,
        outcome=outcome,
        actor=by.actor,
        subject=subject,
        address=by.address,
        request_id=by.request_id,
        reason=None if reason is None else without_mail(reason),
        detail=detail,
    )


def without_mail(text: str) -> str:
    """A text that came with a request, without addresses of mail, and not too long."""
    return _MAIL.sub("***", text[:LONGEST])
