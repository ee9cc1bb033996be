"""The payment gateway as the service sees it: whoever takes the money is behind this protocol.

Every call carries an idempotency key. Whoever asks again with a key gets what the key got, and is not
charged again.
"""

from collections.abc import AsyncIterator
from datetime import datetime
from enum import StrEnum
from typing import ClassVar, Protocol

from msgspec import Struct


class Charge(Struct, frozen=True, kw_only=True):
    """A capture to be made. `amount` is in minor units."""

    key: str
    order_id: str
    amount: int
    currency: str
    token: str | None


class Refund(Struct, frozen=True, kw_only=True):
    """Some of a capture, named by the key of its charge, to be given back. `amount` is in minor units."""

    key: str
    charge_key: str
    order_id: str
    amount: int
    currency: str


class Captured(Struct, frozen=True):
    type: ClassVar[str] = "GATEWAY_CAPTURED"
    transaction_id: str


class Declined(Struct, frozen=True):
    type: ClassVar[str] = "GATEWAY_DECLINED"
    transaction_id: str
    reason: str


class Refunded(Struct, frozen=True):
    type: ClassVar[str] = "GATEWAY_REFUNDED"
    refund_id: str


class RefundRefused(Struct, frozen=True):
    """Nothing is given back under this key, now or later. Under another it may be."""

    type: ClassVar[str] = "GATEWAY_REFUND_REFUSED"
    reason: str


Answer = Captured | Declined | Refunded | RefundRefused


class Kind(StrEnum):
    CAPTURE = "capture"
    REFUND = "refund"


class Status(StrEnum):
    CAPTURED = "captured"
    DECLINED = "declined"
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


class Gateway(Protocol):
    """All methods raise GatewayUnavailable when the outcome is unknown."""

    async def capture(self, charge: Charge) -> Captured | Declined:
        """Raises GatewayRefused when the key was used for another charge."""
        ...

    async def refund(self, refund: Refund) -> Refunded | RefundRefused:
        """Raises GatewayRefused when there is no such capture, less is left of it, or the key was used for
        another refund.
        """
        ...

    async def lookup(self, key: str) -> Answer | None:
        """What was done under a key, however long ago: None if nothing was."""
        ...

    def transactions(self, since: datetime) -> AsyncIterator[Transaction]:
        """All that it has done since then, the oldest first: what it knows, and we perhaps do not."""
        ...
