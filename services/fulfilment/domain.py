"""What fulfilment makes of a paid order: an entry, once, and everybody who waits for it is told."""

from collections.abc import Iterable
from decimal import Decimal
from enum import StrEnum
from typing import ClassVar, Final

from msgspec import structs

from services.shared.contract.decisions import (
    Aggregate,
    Decision,
    Domain,
    Loaded,
    Message,
    Premature,
    Ref,
    Standing,
    Verdict,
)
from services.shared.contract.events import OrderEvent, OrderPaid
from services.shared.contract.events.fulfilment import FulfilmentRecorded


class FulfilmentState(StrEnum):
    RECORDED = "RECORDED"
    # The broker has carried it, to all that consume it.
    ANNOUNCED = "ANNOUNCED"


class FulfilmentEntry(Aggregate, frozen=True, kw_only=True):
    """`_id` is the order's: an order has one entry, however often it is told to be paid."""

    collection: ClassVar[str] = "entries"
    total_price: Decimal
    currency: str
    state: FulfilmentState = FulfilmentState.RECORDED

    @property
    def standing(self) -> Standing:
        return Standing(self.id, self.state, (f"{self.total_price} {self.currency}",))


def _home(message: Message) -> Ref:
    return Ref(FulfilmentEntry, _event(message).order_id)


def _reads(_: Message, __: Loaded) -> Iterable[Ref]:
    return ()


def _decide(loaded: Loaded, message: Message) -> Decision:
    event = _event(message)
    entry = loaded.get(FulfilmentEntry, event.order_id)
    if isinstance(event, OrderPaid):
        return _paid(entry, event)
    if entry is None:
        raise Premature(f"order {event.order_id} has no entry yet")
    if entry.state is FulfilmentState.ANNOUNCED:
        return Decision(verdict=Verdict.DUPLICATE)
    return Decision(changed=(structs.replace(entry, state=FulfilmentState.ANNOUNCED),))


def _paid(entry: FulfilmentEntry | None, paid: OrderPaid) -> Decision:
    if entry is not None:
        return Decision(verdict=Verdict.DUPLICATE)
    entry = FulfilmentEntry(id=paid.order_id, total_price=paid.total_price, currency=paid.currency)
    return Decision(changed=(entry,), events=(FulfilmentRecorded(order_id=paid.order_id),))


def _event(message: Message) -> OrderEvent:
    event: OrderEvent = message.body  # type: ignore[assignment]  # its queue holds no other
    return event


DOMAIN: Final = Domain(home=_home, reads=_reads, decide=_decide)
