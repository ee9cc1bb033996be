"""The payment gateway as the service sees it: whoever takes the money is behind this protocol.

Every call carries an idempotency key. Whoever asks again with a key gets what the key got, and is not
charged again. It may answer later: then it says so, and is asked again what became of it.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import ClassVar, Protocol, TypeAlias

from msgspec import Struct

from services.shared.contract.events import NextAction


class Charge(Struct, frozen=True, kw_only=True):
    """Money to be taken. `amount` is in minor units."""

    key: str
    order_id: str
    amount: int
    currency: str
    token: str | None
    # What the gateway called it in an earlier answer: it may forget keys, and does not forget that.
    reference: str = ""


class Refund(Struct, frozen=True, kw_only=True):
    """Some of a capture, named by the key of its charge, to be given back. `amount` is in minor units."""

    key: str
    charge_key: str
    # What the gateway called the charge.
    charge_reference: str = ""
    order_id: str
    amount: int
    currency: str


class Pending(Struct, frozen=True):
    """It is decided on later; where the customer has to do something first, it says what."""

    type: ClassVar[str] = "GATEWAY_PENDING"
    transaction_id: str
    next_action: NextAction | None = None


class Authorized(Struct, frozen=True):
    """The money is held for us, and is not taken yet."""

    type: ClassVar[str] = "GATEWAY_AUTHORIZED"
    transaction_id: str


class Captured(Struct, frozen=True):
    type: ClassVar[str] = "GATEWAY_CAPTURED"
    transaction_id: str


class Declined(Struct, frozen=True):
    """Nothing is taken under this key, now or later."""

    type: ClassVar[str] = "GATEWAY_DECLINED"
    transaction_id: str
    reason: str


class Voided(Struct, frozen=True):
    """Nothing is taken under this key, now or later: it was called off, or has lapsed."""

    type: ClassVar[str] = "GATEWAY_VOIDED"
    # Empty where nothing had been asked for under the key before.
    transaction_id: str = ""


class Refunded(Struct, frozen=True):
    type: ClassVar[str] = "GATEWAY_REFUNDED"
    refund_id: str


class RefundPending(Struct, frozen=True):
    """It is decided on later."""

    type: ClassVar[str] = "GATEWAY_REFUND_PENDING"


class RefundRefused(Struct, frozen=True):
    """Nothing is given back under this key, now or later. Under another it may be."""

    type: ClassVar[str] = "GATEWAY_REFUND_REFUSED"
    reason: str


ChargeAnswer: TypeAlias = Pending | Authorized | Captured | Declined | Voided
RefundAnswer: TypeAlias = Refunded | RefundPending | RefundRefused
Answer: TypeAlias = ChargeAnswer | RefundAnswer


class About(StrEnum):
    """What a gateway has something to tell of."""

    CHARGE = "charge"
    REFUND = "refund"
    # The customer wants it back from their bank.
    DISPUTE = "dispute"


class Heard(Struct, frozen=True):
    """What a gateway says by itself: a reason to ask it, and nothing more. `id` is its event's."""

    type: ClassVar[str] = "GATEWAY_HEARD"
    id: str
    order_id: str
    about: About


class Kind(StrEnum):
    CAPTURE = "capture"
    REFUND = "refund"


class Status(StrEnum):
    PENDING = "pending"
    AUTHORIZED = "authorized"
    CAPTURED = "captured"
    DECLINED = "declined"
    VOIDED = "voided"
    REFUNDED = "refunded"
    REFUSED = "refused"


class Transaction(Struct, frozen=True, kw_only=True):
    """What the gateway did, as it says. `amount` is in minor units; `at` is the gateway's own time."""

    # The idempotency key that it was asked with.
    key: str
    order_id: str
    kind: Kind
    amount: int
    currency: str
    status: Status
    # By which our payment knows it: its transaction id, of a refund its refund id.
    id: str
    at: datetime


class GatewayUnavailable(Exception):
    """No answer, or a 5xx: what was asked for may have happened, or may yet happen."""


class GatewayRefused(Exception):
    """The gateway takes the request for nonsense, as a key that it knows with another amount."""


class BadSignature(Exception):
    """What claims to come from the gateway does not, or is too old."""


class Gateway(Protocol):
    """All methods raise GatewayUnavailable when the outcome is unknown."""

    async def authorize(self, charge: Charge) -> ChargeAnswer:
        """Has the money held, for `capture` to take it. Raises GatewayRefused as that does."""
        ...

    async def capture(self, charge: Charge) -> ChargeAnswer:
        """Takes the money, held before or not. Raises GatewayRefused when the key was used for another
        charge.
        """
        ...

    async def void(self, charge: Charge) -> ChargeAnswer:
        """A fence: once it has answered Voided nothing is ever taken under the key, whatever is still on its
        way there. What was taken before is answered Captured, and stays taken.
        """
        ...

    async def refund(self, refund: Refund) -> RefundAnswer:
        """Raises GatewayRefused when there is no such capture, less is left of it, or the key was used for
        another refund.
        """
        ...

    async def lookup(self, key: str, reference: str = "") -> Answer | None:
        """What was done under a key, however long ago: None if nothing was. `reference` is what the charge,
        or that which a refund is of, was called in an earlier answer.
        """
        ...

    def transactions(self, since: datetime) -> AsyncIterator[Transaction]:
        """All that it has done since then, the oldest first: what it knows, and we perhaps do not."""
        ...

    async def made_for(self, order_id: str, reference: str = "") -> Sequence[Transaction]:
        """What it has done for one order, as `transactions` tells of it. `reference`: as for `lookup`."""
        ...

    async def hear(self, headers: Mapping[str, str], body: bytes) -> Heard | None:
        """What it tells by itself, with the body as it came; None where that is no business of ours.

        Raises BadSignature.
        """
        ...
