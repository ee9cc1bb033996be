"""The smallest domain that has everything: counters, which commands and messages raise and which tell of it.

It runs as the inventory service, for the queues and the events of that one. What a message shall do beside
is written in its free text.
"""

import asyncio
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, ClassVar, Final, Literal

from msgspec import Struct, structs

from services.shared.contract.decisions import (
    Aggregate,
    Decision,
    Domain,
    Loaded,
    Message,
    Premature,
    Ref,
    Rejected,
    Standing,
)
from services.shared.contract.events import (
    Event,
    Line,
    OrderPaid,
    ReleaseStock,
    ReserveStock,
    SoldLine,
    StockReleased,
    StockReserved,
    StockUnavailable,
)
from services.shared.engine.effects import Effects
from services.shared.engine.life import Engine
from services.shared.settings import EngineSettings

SERVICE: Final = "inventory"
QUEUE: Final = "inventory"
# Its messages have a side effect first.
EFFECTS_QUEUE: Final = "inventory-events"
# More than fits a document.
TOO_LARGE: Final = 17 * 2**20
LINES: Final = (Line("p", 1),)


class Toy(Aggregate, frozen=True, kw_only=True):
    collection = "toys"
    count: int = 0
    released: int = 0
    intended: bool = False
    paid: int = 0
    ballast: str = ""

    @property
    def standing(self) -> Standing:
        return Standing(self.id, f"COUNTED {self.count}")


class Add(Struct, frozen=True, kw_only=True):
    """A command: count, and say so in so many events."""

    type: ClassVar[str] = "ADD"
    subject: str
    events: int = 1
    padding: str = ""
    kind: Literal["reserved", "unavailable", "released"] = "reserved"


class Paid(Struct, frozen=True):
    """What became of the side effect."""

    type: ClassVar[str] = OrderPaid.type
    subject: str
    events: int


def reserve(subject: str) -> ReserveStock:
    """Counts one, and is told of by one event."""
    return ReserveStock(order_id=subject, products=LINES)


def release(subject: str, how: str = "") -> ReleaseStock:
    """`how`: premature until the toy has counted, raise, reject, too large, or else silently."""
    return ReleaseStock(order_id=subject, reason=how)


def pay(subject: str, seconds: float = 0.0, events: int = 1) -> OrderPaid:
    """An effect that takes so long, and is told of by so many events."""
    return OrderPaid(
        order_id=subject,
        total_price=Decimal(1),
        currency="USD",
        products=(SoldLine("p", 1),),
        email=f"{seconds} {events}",
    )


def home(message: Message) -> Ref:
    return Ref(Toy, message.body.subject)  # type: ignore[attr-defined]  # every body of ours has one


def reads(_message: Message, _loaded: Loaded) -> Iterable[Ref]:
    return ()


def decide(loaded: Loaded, message: Message) -> Decision:
    ref = home(message)
    toy = loaded.get(Toy, ref.id) or Toy(id=ref.id)
    match message.body:
        case Add(events=events, padding=padding, kind=kind):
            return _counted(toy, [_event(kind, toy.id, padding)] * events)
        case ReserveStock():
            return _counted(toy, [_event("reserved", toy.id)])
        case Paid(events=events):
            return Decision(
                changed=(structs.replace(toy, paid=toy.paid + 1),),
                events=tuple([_event("reserved", toy.id)] * events),
            )
        case ReleaseStock(reason=how):
            return _released(toy, how)
    raise TypeError(message.body)


def _counted(toy: Toy, events: list[Event]) -> Decision:
    toy = structs.replace(toy, count=toy.count + 1)
    return Decision(changed=(toy,), events=tuple(events), reply=toy.count)


def _released(toy: Toy, how: str) -> Decision:
    match how:
        case "premature" if not toy.count:
            raise Premature("nothing was counted yet")
        case "raise":
            raise RuntimeError("told to")
        case "reject":
            raise Rejected("told to")
        case "too large":
            return Decision(changed=(structs.replace(toy, ballast="x" * TOO_LARGE),))
    return Decision(changed=(structs.replace(toy, released=toy.released + 1),))


def _event(kind: str, subject: str, padding: str = "") -> Event:
    match kind:
        case "unavailable":
            return StockUnavailable(order_id=subject, missing=(), reason=padding)
        case "released":
            return StockReleased(order_id=subject, products=LINES)
    return StockReserved(order_id=subject, products=(Line(f"p{padding}", 1),))


def intend(before: Toy | None, message: Message) -> Toy | None:
    if not isinstance(message.body, OrderPaid):
        return None
    toy = before or Toy(id=message.body.subject)
    return toy if toy.intended else structs.replace(toy, intended=True)


async def perform(toy: Toy, message: Message) -> Paid:
    if not isinstance(message.body, OrderPaid):
        raise TypeError(message.body)
    seconds, events = message.body.email.split()
    await asyncio.sleep(float(seconds))
    return Paid(toy.id, int(events))


EFFECTS: Final = {EFFECTS_QUEUE: Effects(intend, perform)}


class ToySettings(EngineSettings):
    service: ClassVar[str] = SERVICE


def make_engine(settings: Mapping[str, Any]) -> Engine:
    domain = Domain(home, reads, decide)
    return Engine(ToySettings(**settings), domain, indexes={Toy.collection: ()}, effects=EFFECTS)
