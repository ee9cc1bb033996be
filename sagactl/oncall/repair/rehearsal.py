"""What would come of a message or a command, to the very end: all rules, on copies. Nothing is done.

What the engine does around the rules is done here in the same order: what a home has seen has no effect, the
payment gateway is asked before payment decides, and every event goes to all its queues under the id it would
have. So a rehearsal ends as the shop would, if nothing else happens.
"""

from collections import Counter, deque
from collections.abc import Iterator
from typing import Any, Final, NamedTuple, cast

from msgspec import structs

from sagactl.oncall.explain.hops import QUEUES
from sagactl.oncall.explain.marks import CONSUMER, Marks
from sagactl.oncall.explain.preview import domain_of
from sagactl.oncall.invariants import Case, Held, check_case, check_stock, contradictions, tally
from services.fulfilment.shipment import Shipment
from services.inventory.reservation import Reservation
from services.inventory.stock import Stock
from services.notification.domain import Notification
from services.order.commands import TimeOut
from services.order.model import Order
from services.payment.asking import leased
from services.payment.domain import intend
from services.payment.gateway import GatewayRefused, Status, Voided
from services.payment.ledger import LedgerEntry, refund_entry
from services.payment.payment import (
    ASKED_AGAIN,
    AskAgain,
    ChargeOutcome,
    Payment,
    PaymentState,
    RefundOutcome,
)
from services.payment.refunds import refund_of
from services.shared.contract.decisions import (
    Aggregate,
    AnyAggregate,
    AtHand,
    Message,
    Premature,
    Ref,
    Refused,
    Rejected,
    still_needed,
)
from services.shared.contract.events import (
    Event,
    RefundPayment,
)
from services.shared.contract.identity import HTTP, cause, digest, event_id

# What a rehearsed command is known by, and what the gateway answers to what it was never asked.
REHEARSED: Final = "rehearsed"


class FailsError(Exception):
    """It would come to nothing: it would be rejected, or wait for what never comes."""


class Delivery(NamedTuple):
    """A message for one queue."""

    queue: str
    id: str
    event: Event


class Rehearsal:
    """One order's case, as it would be after what is delivered here."""

    def __init__(self, marks: Marks, held: Held) -> None:
        """`held`: what all reservations together say of the products, when `marks.stock` was read."""
        self._marks = marks
        self._homes: dict[Ref, Aggregate | None] = marks.loaded()
        self._ledger = {entry.id: entry for entry in marks.case.ledger}
        self._others = _without(held, marks.case.reservation)
        self._waiting: deque[Delivery] = deque()

    def deliver(self, delivery: Delivery) -> None:
        """And all that comes of it. Raises FailsError."""
        self._waiting.append(delivery)
        early = 0
        while self._waiting or self._brings_up():
            each = self._waiting.popleft()
            try:
                self._handle(each)
                early = 0
            except Premature as error:
                self._waiting.append(each)
                early += 1
                if early >= len(self._waiting):
                    raise FailsError(f"{each.event.type} would wait: {error}") from error
            except Rejected as error:
                raise FailsError(f"{each.event.type} would be rejected: {error}") from error

    def compensate(self) -> None:
        """As a sweep does. Raises FailsError."""
        order = self._get(Order)
        if order is None:
            raise FailsError("there is no order")
        command = TimeOut(order_id=order.id, status=order.status, older_than=0, reason=REHEARSED)
        message = Message(id=REHEARSED, source=HTTP, body=command, at=self._marks.at)
        try:
            deliveries = list(self._decided("order", message))
        except Refused as error:
            raise FailsError(str(error)) from error
        for each in deliveries:
            self.deliver(each)

    # --- one message --------------------------------------------------------------------------------------

    def _handle(self, delivery: Delivery) -> None:
        service = CONSUMER[delivery.queue]
        message = Message(
            id=delivery.id, source=delivery.queue, body=delivery.event, at=self._marks.at, last_try=True
        )
        home = self._homes.get(domain_of(self._marks, service).home(message))
        if home is not None and digest(delivery.queue, delivery.id) in home.seen:
            return
        if service == "payment":
            message = self._asked(cast("Payment | None", home), message)
        self._waiting.extend(self._decided(service, message))

    def _decided(self, service: str, message: Message) -> Iterator[Delivery]:
        domain = domain_of(self._marks, service)
        while missing := still_needed(domain, (message,), self._homes):
            self._homes.update(dict.fromkeys(missing))
        decision = domain.decide(AtHand(self._homes), message)
        self._homes.update({Ref(type(each), each.id): each for each in decision.changed})
        if decision.changed or decision.events:
            self._remember(domain.home(message), message)
        of = cause(message.source, message.id)
        for index, event in enumerate(decision.events):
            for queue in QUEUES[event.type]:
                if self._marks.hears(queue, event.type, None):
                    yield Delivery(queue, event_id(of, event.type, index), event)

    def _remember(self, ref: Ref, message: Message) -> None:
        home = self._homes.get(ref)
        if home is not None:
            seen = (*home.seen, digest(message.source, message.id))
            self._homes[ref] = structs.replace(home, seen=seen)

    # --- what the clock brings up ---------------------------------------------------------------------------

    def _brings_up(self) -> bool:
        """Payment asks once more about what the gateway refused, or decides on later: at last it gives way.
        What comes of it waits to be delivered.
        """
        payment = self._get(Payment)
        if payment is None or payment.ask_at is None:
            return False
        after, asks = leased(payment, payment.ask_at, payment.ask_at)
        self._homes[Ref(Payment, payment.id)] = after
        for ask in asks:
            message = Message(id=ask.id, source=ASKED_AGAIN, body=ask, at=self._marks.at)
            message = self._asked(self._get(Payment), message)
            self._waiting.extend(self._decided("payment", message))
        return bool(self._waiting)

    # --- the payment gateway --------------------------------------------------------------------------------

    def _asked(self, payment: Payment | None, message: Message) -> Message:
        """With the gateway's answer, where it would be asked: what it knows by the key, or that it did it."""
        intent = intend(payment, message)
        if intent is None:
            return message
        self._homes[Ref(Payment, intent.id)] = intent
        event: Any = message.body
        if intent.state is PaymentState.REFUNDING:
            return structs.replace(message, body=self._refunded(intent, event))
        entry = self._charged(intent)
        answer = Voided() if entry is None else entry.charge_result
        return structs.replace(message, body=ChargeOutcome(event, answer, message.at))

    def _charged(self, payment: Payment) -> LedgerEntry | None:
        """What the gateway then knows of the charge; None for nothing. On what waits it decides for us."""
        key, charge = payment.capture_key, payment.charge()
        known = self._ledger.get(key)
        if payment.state is PaymentState.VOIDING:
            entry = (known or LedgerEntry.of_charge(charge, REHEARSED, Status.VOIDED)).voided()
        elif payment.state is PaymentState.CAPTURING or known is not None:
            entry = known or LedgerEntry.of_charge(charge, REHEARSED, Status.CAPTURED)
            if entry.status in {Status.PENDING, Status.AUTHORIZED}:
                entry = structs.replace(entry, status=Status.CAPTURED)
        else:
            return None
        if (entry.amount, entry.currency) != (charge.amount, charge.currency):
            raise Rejected("the gateway knows the key by another amount")
        self._ledger[key] = entry
        return entry

    def _refunded(self, payment: Payment, event: RefundPayment | AskAgain) -> RefundOutcome:
        asked = refund_of(payment, event)
        assert asked is not None  # noqa: S101  # it is what the intent has written down
        try:
            entry = refund_entry(self._ledger.values(), payment.asks(asked), REHEARSED)
        except GatewayRefused as error:
            raise Rejected(str(error)) from error
        made = structs.replace(entry, status=Status.REFUNDED)
        return RefundOutcome(event, self._enter(made).refund_result, asked.attempt, self._marks.at)

    def _enter(self, entry: LedgerEntry) -> LedgerEntry:
        known = self._ledger.setdefault(entry.id, entry)
        if (known.amount, known.currency, known.kind) != (entry.amount, entry.currency, entry.kind):
            raise Rejected("the gateway knows the key by another amount")
        return known

    # --- the end --------------------------------------------------------------------------------------------

    @property
    def case(self) -> Case:
        told = [each for each in self._homes.values() if isinstance(each, Notification)]
        return Case(
            self._marks.case.id,
            self._get(Order),
            self._get(Reservation),
            self._get(Payment),
            list(self._ledger.values()),
            told,
            self._get(Shipment),
        )

    @property
    def sound(self) -> bool:
        """Whether the order would be at its end, its books and those of its products agree, and nothing more
        be marked for a human than is now.
        """
        case = self.case
        wrong = check_case(case, self._marks.ships_since)
        marked = len(list(contradictions(case))) > len(list(contradictions(self._marks.case)))
        settled = case.order is None or case.order.settled
        return settled and not marked and not any(wrong) and not self._short()

    def _short(self) -> bool:
        held = Held(self._others.held.copy(), self._others.sold.copy())
        reservation = self._get(Reservation)
        tally([reservation] if reservation else [], held)
        stock = [each for each in self._homes.values() if isinstance(each, Stock)]
        return any(finding for each in stock for finding in check_stock(each, held))

    def _get(self, kind: type[AnyAggregate]) -> AnyAggregate | None:
        return cast("AnyAggregate | None", self._homes.get(Ref(kind, self._marks.case.id)))


def _without(held: Held, reservation: Reservation | None) -> Held:
    own = Held(Counter(), Counter())
    tally([reservation] if reservation else [], own)
    others = Held(held.held.copy(), held.sold.copy())
    others.held.subtract(own.held)
    others.sold.subtract(own.sold)
    return others
