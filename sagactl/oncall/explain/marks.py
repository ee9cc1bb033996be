"""What was read about an order: everything that its messages may have left behind."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from msgspec import Struct

from sagactl.oncall.invariants import Case, Finding, check_case
from services.fulfilment.shipment import Shipment
from services.inventory.reservation import Reservation
from services.inventory.stock import Stock
from services.notification.domain import NotificationState
from services.order.model import Order
from services.payment.payment import Payment, PaymentState
from services.shared.contract import topology
from services.shared.contract.decisions import Aggregate, Ref
from services.shared.contract.events import (
    AUTO_COMPENSATION,
    CONSUMES,
    INVENTORY_EVENTS,
    NOTIFICATIONS,
    WHERE_IT_RUNS,
)
from services.shared.contract.identity import REMEMBERED, digest
from services.shared.contract.table import Watched

CONSUMER: Final = {queue: service for service, queues in CONSUMES.items() for queue in queues}
# Whose books a `Case` has. What another service has done with a message is written nowhere that is read here.
READ: Final = frozenset({"order", "inventory", "payment", "notification", "fulfilment"})
# (queue, type): what comes to an optional service only while it runs.
WHILE_IT_RUNS: Final = frozenset(
    (queue, event.type) for queue, events in WHERE_IT_RUNS.items() for event in events
)
STALE_AFTER: Final = timedelta(minutes=5)


class Letter(NamedTuple):
    """A dead letter that is about the order, or one that was discarded."""

    queue: str
    id: str
    type: str
    # Such as `failed: no such column`; or who discarded it, when and why.
    reason: str
    body: bytes


class Unsent(NamedTuple):
    """An event in an outbox."""

    id: str
    type: str
    service: str
    since: datetime


class Marks(Struct, frozen=True, kw_only=True):
    case: Case
    # When it was read, by the database's clock.
    at: datetime
    # Of the products of its reservation and of its lines.
    stock: Mapping[str, Stock] = {}
    unsent: tuple[Unsent, ...] = ()
    letters: tuple[Letter, ...] = ()
    # Those that somebody discarded, and that are kept; the latest first.
    discarded: tuple[Letter, ...] = ()
    # Queue -> messages in it, of whatever order, those with a consumer included; of retry queues and dead
    # letters, too.
    waiting: Mapping[str, int] = {}
    # Queue -> how many of its dead letters were read, whoever they are about.
    letters_read: Mapping[str, int] = {}
    # Whether inventory hears of failed payments; None where it is not known.
    auto_compensation: bool | None = None
    # Since when fulfilment hears of orders; None where it does not, or has heard of none.
    ships_since: datetime | None = None
    # The order changed while it was looked at: what is not found has moved meanwhile.
    moving: bool = False
    # So long an order may be CONFIRMED before a sweep compensates it.
    stale_after: timedelta = STALE_AFTER
    # The services are processes of this machine, and no pods.
    is_local: bool = False

    @property
    def wrong(self) -> Iterator[Finding]:
        """Of its books, were all at rest."""
        return check_case(self.case, self.ships_since)

    def home(self, queue: str) -> Watched | None:
        """What remembers the messages of the queue; a notification is its own message's memory."""
        case = self.case
        homes: dict[str, Watched | None] = {
            "order": case.order,
            "inventory": case.reservation,
            "payment": case.payment,
            "fulfilment": case.shipment,
        }
        return homes.get(CONSUMER[queue])

    def hears(self, queue: str, type_: str, at: datetime | None) -> bool:
        """Whether what was published `at` (None: now) went to its queue, which may be by a setting."""
        if (queue, type_) == (INVENTORY_EVENTS, AUTO_COMPENSATION.type):
            return bool(self.auto_compensation)
        if (queue, type_) in WHILE_IT_RUNS:
            return self.ships_since is not None and self.ships_since <= (at or self.at)
        return True

    def handled(self, queue: str, id_: str) -> bool:
        """Whether the message has left a mark on what it is about."""
        if queue == NOTIFICATIONS:
            # While its mail waits, the message is not handled to its end, and comes back.
            return any(
                each.id == id_ and each.state is not NotificationState.WAITING
                for each in self.case.notifications
            )
        home = self.home(queue)
        if home is None:
            return False
        marked = digest(queue, id_) in home.seen or any(each.event_id == id_ for each in home.attention)
        if isinstance(home, Order):
            return marked or any(entry.event_id == id_ for entry in home.history)
        return marked

    def remembers(self, queue: str) -> bool:
        """Whether what the home has not seen was not handled."""
        home = self.home(queue)
        if home is None:
            return True
        if isinstance(home, Payment) and home.stage in {PaymentState.CAPTURING, PaymentState.VOIDING}:
            return True  # stored before anything was decided
        # Nothing exists that nothing made: it was written by a release that did not remember.
        return 0 < len(home.seen) < REMEMBERED

    def is_anywhere(self, queue: str, id_: str) -> bool:
        """Whether the message exists, by any mark but the queues', which do not tell who is in them."""
        return (
            self.handled(queue, id_)
            or self.letter(queue, id_) is not None
            or self.put_away(queue, id_) is not None
            or self.in_outbox(id_) is not None
        )

    def letter(self, queue: str, id_: str) -> Letter | None:
        return next((each for each in self.letters if (each.queue, each.id) == (queue, id_)), None)

    def put_away(self, queue: str, id_: str) -> Letter | None:
        return next((each for each in self.discarded if (each.queue, each.id) == (queue, id_)), None)

    def in_outbox(self, id_: str) -> Unsent | None:
        return next((each for each in self.unsent if each.id == id_), None)

    def unread(self, queue: str) -> int:
        """Dead letters that could not be read: somebody else looks at them, or they are too many."""
        return max(
            0, self.waiting.get(topology.dead_letter_queue(queue), 0) - self.letters_read.get(queue, 0)
        )

    def places(self, queue: str) -> Iterator[tuple[str, int]]:
        """The queue and its retry queues that are not empty."""
        for name in topology.all_queues(queue):
            if name != topology.dead_letter_queue(queue) and (number := self.waiting.get(name, 0)):
                yield name, number

    def loaded(self) -> dict[Ref, Aggregate | None]:
        """All of it, as rules load it."""
        case = self.case
        found: list[Aggregate | None] = [*case.notifications]
        found += [case.order, case.reservation, case.payment, case.shipment]
        homes: dict[Ref, Aggregate | None] = {
            Ref(Order, case.id): None,
            Ref(Reservation, case.id): None,
            Ref(Payment, case.id): None,
            Ref(Shipment, case.id): None,
        }
        homes |= {Ref(type(each), each.id): each for each in found if each is not None}
        homes |= {Ref(Stock, id_): stock for id_, stock in self.stock.items()}
        return homes


def asked_again_at(marks: Marks) -> datetime | None:
    """When payment asks the gateway again of itself: no message is on its way until then."""
    payment = marks.case.payment
    return payment.ask_at if payment is not None else None
