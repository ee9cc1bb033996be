"""What is asked of an order over HTTP. `type` is its name in the order's history."""

from collections.abc import Mapping, Sequence
from typing import ClassVar, Final

from msgspec import Struct

from services.order.model import Line, RefundLine, Status
from services.shared.contract.events import Fulfilment
from services.shared.contract.idempotency import Keyed


class CreateOrder(Keyed, frozen=True, kw_only=True):
    type: ClassVar[str] = "ORDER_CREATED"
    order_id: str
    customer_id: str
    email: str
    # Priced by us, never by the client.
    lines: tuple[Line, ...]
    currency: str
    fulfilment: Fulfilment
    payment_token: str | None
    locale: str | None = None


class CancelOrder(Keyed, frozen=True, kw_only=True):
    type: ClassVar[str] = "CUSTOMER_CANCELLED"
    order_id: str
    # Whose order it must be; None for an administrator.
    customer_id: str | None


class RequestRefund(Struct, frozen=True, kw_only=True):
    type: ClassVar[str] = "REFUND_REQUESTED"
    order_id: str
    # Whose order it must be, and for whom it may be too late; None for an administrator.
    customer_id: str | None
    reason: str
    refund_request_id: str
    # Without any: all that is left.
    lines: tuple[RefundLine, ...] = ()
    # Of what is asked for under the id.
    request_hash: str = ""


class SettleOutside(Keyed, frozen=True, kw_only=True):
    """The gateway never gave way: the money went back by another way."""

    type: ClassVar[str] = "REFUND_SETTLED_OUTSIDE"
    order_id: str
    refund_request_id: str
    # By which the transfer is found again.
    reference: str
    reason: str


# Before the caller's id in the scope of keys. Those of new orders are as they always were.
_KEYED: Final[Mapping[type[Keyed], str]] = {CreateOrder: "", CancelOrder: "cancel/", SettleOutside: "settle/"}


def key_scope(command: type[Keyed], caller_id: str) -> str:
    """Within which an idempotency key that came with the command is one."""
    return f"{_KEYED[command]}{caller_id}"


def key_scopes(caller_id: str) -> Sequence[str]:
    """Of all keys of a caller."""
    return [key_scope(command, caller_id) for command in _KEYED]


class TimeOut(Struct, frozen=True, kw_only=True):
    """Compensate the order if it is still in `status`, and has been for `older_than` seconds."""

    type: ClassVar[str] = "SAGA_TIMEOUT"
    order_id: str
    status: Status
    older_than: float
    reason: str
