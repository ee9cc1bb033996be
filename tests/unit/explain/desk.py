"""An order in the hands of the engine's own batches: each message is handled when a test says so."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, Final, cast

from msgspec import structs

from sagactl.oncall.explain.marks import CONSUMER, Letter, Marks
from sagactl.oncall.invariants import Case
from services.fulfilment.domain import SHIPPING
from services.fulfilment.shipment import Deliver, Ship, Shipment
from services.inventory.domain import domain as inventory
from services.inventory.reservation import Reservation
from services.inventory.stock import Stock
from services.notification.domain import NOTIFICATIONS, Notification
from services.order.commands import CreateOrder, RequestRefund
from services.order.domain import DOMAIN as ORDERS
from services.order.model import Line, Order
from services.payment.asking import leased
from services.payment.domain import DOMAIN as PAYMENTS
from services.payment.domain import intend
from services.payment.gateway import Captured, Declined, Kind, Pending, Refunded, RefundRefused, Status
from services.payment.ledger import LedgerEntry
from services.payment.payment import ASKED_AGAIN, AskAgain, ChargeOutcome, LookAgain, Payment, RefundOutcome
from services.payment.refunds import refund_of
from services.shared.contract import events, wire
from services.shared.contract.decisions import Aggregate, Message, Ref, still_needed
from services.shared.contract.identity import HTTP
from services.shared.engine.batch import Batch, Undecided, digest
from services.shared.engine.rows import OutboxEvent, events_of

NOW: Final = datetime(2026, 1, 1, 12, tzinfo=UTC)
ORDER: Final = "order-1"
FAR: Final = NOW + timedelta(days=365)
DOMAINS: Final = {
    "order": ORDERS,
    "inventory": inventory(auto_compensation=False),
    "payment": PAYMENTS,
    "notification": NOTIFICATIONS,
    "fulfilment": SHIPPING,
}


class Desk:
    """A new order of two lamps, of which there are ten; what it causes waits for `hear`."""

    def __init__(self, *, declines: bool = False) -> None:
        self.now = NOW
        self._declines = declines
        self.stored: dict[Ref, Aggregate] = {Ref(Stock, "lamp"): Stock(id="lamp", available=10, initial=10)}
        self.published: list[OutboxEvent] = []
        self.ledger: list[LedgerEntry] = []
        # What the gateway says to refunds, and whether it decides on charges later.
        self.refuses = self.later = False
        self._commit("order", Message(id=ORDER, source=HTTP, body=created(), at=self.now))

    def hear(self, queue: str) -> OutboxEvent:
        """The latest event for the queue is handled."""
        kinds = {event.type for event in events_of_queue(queue)}
        event = next(each for each in reversed(self.published) if each.type in kinds)
        body: Any = wire.decode(queue, event.body.encode())
        message = Message(id=event.id, source=queue, body=body, at=self.now)
        if CONSUMER[queue] == "payment" and (intent := intend(self.one(Payment), message)) is not None:
            self.stored[Ref(Payment, ORDER)] = intent
            message = structs.replace(message, body=self._ask_the_gateway(intent, body))
        self._commit(CONSUMER[queue], message)
        return event

    def _ask_the_gateway(self, payment: Payment, event: object) -> ChargeOutcome | RefundOutcome:
        if isinstance(event, LookAgain):
            self.ledger = [structs.replace(entry, status=Status.CAPTURED) for entry in self.ledger]
            return ChargeOutcome(event, Captured("txn-1"), self.now)
        if isinstance(event, events.OrderConfirmed) and self.later:
            self._enter(payment, payment.capture_key, Kind.CAPTURE, Status.PENDING, "txn-1")
            return ChargeOutcome(event, Pending("txn-1"), self.now)
        if isinstance(event, events.OrderConfirmed) and self._declines:
            self._enter(payment, payment.capture_key, Kind.CAPTURE, Status.DECLINED, "txn-1")
            return ChargeOutcome(event, Declined("txn-1", "declined"), self.now)
        if isinstance(event, events.OrderConfirmed):
            self._enter(payment, payment.capture_key, Kind.CAPTURE, Status.CAPTURED, "txn-1")
            return ChargeOutcome(event, Captured("txn-1"), self.now)
        assert isinstance(event, events.RefundPayment | AskAgain)
        refund = refund_of(payment, event)
        assert refund is not None
        key = payment.refund_key(refund)
        status = Status.REFUSED if self.refuses else Status.REFUNDED
        self._enter(payment, key, Kind.REFUND, status, f"re-{key}", amount=refund.amount)
        result = RefundRefused("blocked") if self.refuses else Refunded(f"re-{key}")
        return RefundOutcome(event, result, refund.attempt, self.now)

    def ask_again(self) -> None:
        """Its time has come: payment asks for what was refused, or is to be decided on."""
        payment, asks = leased(self.one(Payment), FAR, FAR)
        self.stored[Ref(Payment, ORDER)] = payment
        for ask in asks:
            message = Message(id=ask.id, source=ASKED_AGAIN, body=ask, at=self.now)
            intent = intend(self.one(Payment), message)
            assert intent is not None
            self.stored[Ref(Payment, ORDER)] = intent
            outcome = self._ask_the_gateway(intent, ask)
            self._commit("payment", structs.replace(message, body=outcome))

    def _enter(
        self,
        payment: Payment,
        key: str,
        kind: Kind,
        status: Status,
        reference: str,
        *,
        amount: int | None = None,
    ) -> None:
        entry = LedgerEntry(
            id=key,
            order_id=ORDER,
            kind=kind,
            amount=payment.amount if amount is None else amount,
            currency=payment.currency,
            status=status,
            transaction_id=reference,
            at=self.now,
        )
        self.ledger.append(entry)

    def heard(self, *queues: str) -> "Desk":
        for queue in queues:
            self.hear(queue)
        return self

    def paid(self) -> "Desk":
        return self.heard(
            "inventory", "orders", "STOCK_RESERVED", "order-events", "inventory-events", "notifications"
        )

    def declined(self) -> "Desk":
        """Of a desk that declines."""
        self.heard("inventory", "orders", "STOCK_RESERVED", "order-events")
        return self.heard("inventory", "orders", "payment-events", "notifications")

    def refunded(self) -> "Desk":
        self.paid().command(
            RequestRefund(order_id=ORDER, customer_id=None, reason="broken", refund_request_id="all")
        )
        self.heard("notifications", "payment-events", "order-events", "inventory", "orders")
        return self.heard("notifications")

    def asked_to_ship(self) -> "Desk":
        """In a shop with a fulfilment service, which asks whether the goods may go."""
        self.paid().heard("fulfilment").command(
            Ship(order_id=ORDER, carrier="DHL"), "ship-1", to="fulfilment"
        )
        return self

    def delivered(self) -> "Desk":
        self.asked_to_ship().heard("order-events", "fulfilment", "notifications")
        self.command(Deliver(order_id=ORDER), "deliver-1", to="fulfilment")
        return self.heard("notifications")

    def command(self, body: object, id_: str = "command-1", *, to: str = "order") -> None:
        self._commit(to, Message(id=id_, source=HTTP, body=body, at=self.now))

    def one(self, kind: type[Any]) -> Any:  # whatever the kind is
        return self.stored.get(Ref(kind, ORDER))

    def change(self, kind: type[Aggregate], **fields: object) -> None:
        self.stored[Ref(kind, ORDER)] = structs.replace(self.one(kind), **fields)

    def _commit(self, service: str, message: Message) -> None:
        domain = DOMAINS[service]
        loaded: dict[Ref, Aggregate | None] = {}
        while needed := still_needed(domain, (message,), loaded):
            loaded.update({ref: self.stored.get(ref) for ref in needed})
        batch = Batch(domain, loaded)
        batch.decide(
            Undecided(message, domain.home(message), digest(message), cast("Any", None), is_command=False)
        )
        assert not batch.failed, batch.failed
        self.stored |= {Ref(type(each), each.id): each for each, _ in batch.writes()}
        for _, decision in batch.decided:
            self.published += events_of(message, decision)

    def marks(self, *, after: timedelta = timedelta(), **more: Any) -> Marks:
        told = [each for each in self.stored.values() if isinstance(each, Notification)]
        homes = self.one(Order), self.one(Reservation), self.one(Payment)
        case = Case(ORDER, *homes, self.ledger, told, self.one(Shipment))
        stock = {ref.id: each for ref, each in self.stored.items() if isinstance(each, Stock)}
        return Marks(case=case, at=self.now + after, stock=stock, **{"auto_compensation": False, **more})

    def letter(self, queue: str, reason: str = "failed: no such column") -> Letter:
        """The latest event for the queue, as a dead letter."""
        kinds = {event.type for event in events_of_queue(queue)}
        event = next(each for each in reversed(self.published) if each.type in kinds)
        return Letter(queue, event.id, event.type, reason, event.body.encode())


def events_of_queue(queue: str) -> Iterable[type[events.Event]]:
    return events.CONSUMES[CONSUMER[queue]][queue]


def created() -> CreateOrder:
    return CreateOrder(
        order_id=ORDER,
        customer_id="ann",
        email="ann@example.com",
        lines=(Line("lamp", 2, 1000, name="Lamp"),),
        currency="USD",
        fulfilment="all",
        payment_token=None,
    )
