"""What must hold: at every commit, at every acknowledgement, and when everything has come to rest."""

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Final, NamedTuple

import msgspec

from dev.simulate.broker import Broker, Stored
from dev.simulate.database import Database, Document
from dev.simulate.database_client import EPOCH, now
from dev.simulate.history import History
from sagactl.oncall.invariants import (
    Case,
    Held,
    check_case,
    check_stock,
    contradictions,
    tally,
    unstocked,
    without_stock,
)
from services.fulfilment.shipment import Shipment
from services.inventory.reservation import Reservation
from services.inventory.stock import Stock
from services.notification.domain import Notification
from services.order.model import Order
from services.payment.domain import intend
from services.payment.ledger import LedgerEntry
from services.payment.payment import Payment
from services.product.domain import Product
from services.shared.contract import topology, wire
from services.shared.contract.decisions import (
    Aggregate,
    AnyAggregate,
    AtHand,
    Domain,
    Message,
    Ref,
    Verdict,
    still_needed,
)
from services.shared.contract.events import CONSUMES
from services.shared.contract.identity import REMEMBERED
from services.shared.database.store import from_document
from services.shared.engine import edition
from services.shared.engine.batch import digest
from services.shared.engine.leases import OUTBOX, is_due

SERVICE_OF: Final = {queue: service for service, queues in CONSUMES.items() for queue in queues}
# Their messages have an effect first: what the gateway did is what is decided on.
WITH_EFFECTS: Final = frozenset(CONSUMES["payment"])
IMMEDIATELY: Final = Held(Counter(), Counter())


class Emitted(NamedTuple):
    type: str
    body: bytes


class Judge:
    """Reads what is committed, past all faults."""

    def __init__(self, domains: Mapping[str, Domain], history: History, *, auto_compensation: bool) -> None:
        self._domains, self._history, self._auto = domains, history, auto_compensation
        self.databases: dict[str, Database] = {}
        # Those that run.
        self.services = frozenset(domains)
        self.broker: Broker | None = None
        self.ledger: dict[str, LedgerEntry] = {}
        self.found: list[str] = []
        # Events in committed outbox rows, by id.
        self.emitted: dict[str, Emitted] = {}
        self._said: set[bytes] = set()

    # --- at every commit --------------------------------------------------------------------------------

    def committed(
        self, service: str, collection: str, before: Document | None, after: Document | None
    ) -> None:
        if self._history.kept and collection != edition.COLLECTION:
            self._history.note(f"{service} database", _said(collection, before, after))
        if after is None:
            if collection != OUTBOX:
                self._find(f"{service}: {collection} {before and before['_id']} was deleted")
            return
        if collection == OUTBOX:
            self._row(service, before, after)
        elif "seen" in after:
            self._aggregate(service, collection, before, after)

    def _row(self, service: str, before: Document | None, after: Document) -> None:
        if not isinstance(after.get("due"), datetime):
            self._find(f"{service}: an outbox row has no `due`")
        if before is not None:
            if after.get("token") != before.get("token") and not is_due(before["due"], now()):
                self._find(f"{service}: an outbox row was claimed while it was somebody else's")
            return
        for event in after["events"]:
            if event["id"] in self.emitted:
                self._find(f"{service}: {event['type']} of {event['subject']} was committed twice")
            self.emitted[event["id"]] = Emitted(event["type"], event["body"].encode())
            self._said.add(self.emitted[event["id"]].body)

    def _aggregate(self, service: str, collection: str, before: Document | None, after: Document) -> None:
        name = f"{service}: {collection} {after['_id']}"
        seen = after["seen"]
        if len(set(seen)) < len(seen):
            self._find(f"{name} has handled a message twice")
        if before is not None:
            if after["version"] <= before["version"]:
                self._find(f"{name}: version {after['version']} was written over {before['version']}")
            if len(seen) < REMEMBERED and not set(before["seen"]) <= set(seen):
                self._find(f"{name} has forgotten what it had seen")
        if collection == Stock.collection:
            stock = from_document(Stock, after)
            there = stock.available + stock.reserved + stock.sold
            if there != stock.came or min(stock.available, stock.reserved, stock.sold) < 0:
                self._find(f"{name}: pieces were made or lost: {stock}")

    # --- at every acknowledgement -----------------------------------------------------------------------

    def acknowledged(self, queue: str, message: Stored) -> None:
        assert self.broker is not None  # noqa: S101  # it tells of this
        if queue in SERVICE_OF and not self.broker.copied[queue, message.id]:
            undone = self.undone(queue, message.id, message.body)
            if undone and not self._is_said_twice(queue, message):
                self._find(f"{message.id[:8]} on {queue} was acknowledged, but {undone}")

    def _is_said_twice(self, queue: str, message: Stored) -> bool:
        """Whether its home has handled another one of the same words: that they came again changed nothing.

        Only for now: what else was handled since may wait for these words once more. Whether it gets them is
        seen at rest.
        """
        return any(
            each.body == message.body and id_ != message.id and self.undone(queue, id_, each.body) is None
            for id_, each in self.emitted.items()
        )

    def undone(self, queue: str, id_: str, body: bytes) -> str | None:
        """What is still to be done about a message, by what is committed; None where nothing is."""
        service = SERVICE_OF[queue]
        domain, database = self._domains[service], self.databases[service]
        event = wire.decode(queue, body)
        message = Message(id=id_, source=queue, body=event, at=LONG_AFTER, last_try=True)
        loaded: dict[Ref, Aggregate | None] = {}
        while needed := still_needed(domain, (message,), loaded):
            for ref in needed:
                document = database.get(ref.kind.collection, ref.id)
                loaded[ref] = None if document is None else from_document(ref.kind, document)
        home = loaded[domain.home(message)]
        if home is not None and digest(message) in home.seen:
            return None
        try:
            if queue in WITH_EFFECTS and intend(home, message) is not None:  # type: ignore[arg-type]  # a payment
                return "the gateway is still to be asked"
            decision = domain.decide(AtHand(loaded), message)
        except Exception as error:  # noqa: BLE001  # whatever it is, it was not handled
            return f"handling it fails: {error!r}"
        # All that it has to say was said because of something else.
        repeats = decision.verdict is Verdict.DUPLICATE and all(
            wire.encode(each) in self._said for each in decision.events
        )
        if decision.changed or (decision.events and not repeats):
            return f"{type(event).__name__} of {event.subject} was not committed"
        return None

    # --- at rest ----------------------------------------------------------------------------------------

    def at_rest(self) -> list[str]:
        return list(map(str, self._at_rest()))

    def _at_rest(self) -> Iterator[object]:
        orders = self.all("order", Order)
        reservations = {each.id: each for each in self.all("inventory", Reservation)}
        payments = {each.id: each for each in self.all("payment", Payment)}
        notifications = self.all("notification", Notification)
        shipments = {each.id: each for each in self.all("fulfilment", Shipment)}
        for order in orders:
            case = Case(
                order.id,
                order,
                reservations.get(order.id),
                payments.get(order.id),
                [entry for entry in self.ledger.values() if entry.order_id == order.id],
                [each for each in notifications if each.order_id == order.id],
                shipments.get(order.id),
            )
            yield from check_case(case, EPOCH if "fulfilment" in self.services else None)
            yield from contradictions(case)
        known = {order.id for order in orders}
        strangers = {entry.order_id for entry in self.ledger.values()} | reservations.keys() | payments.keys()
        strangers |= shipments.keys()
        yield from (f"{id_} is known to others, and is no order" for id_ in sorted(strangers - known))
        yield from self._stock(list(reservations.values()))
        yield from self._events()

    def _stock(self, reservations: list[Reservation]) -> Iterator[object]:
        held = Held(Counter(), Counter())
        tally(reservations, held)
        stocks = self.all("inventory", Stock)
        for stock in stocks:
            yield from check_stock(stock, held)
            held.held.pop(stock.id, None)
            held.sold.pop(stock.id, None)
        yield from without_stock(held)
        yield from unstocked(
            [product.id for product in self.all("product", Product)], {stock.id for stock in stocks}
        )

    def _events(self) -> Iterator[str]:
        """Every event was published, and has had its effect on every queue that it is for."""
        assert self.broker is not None  # noqa: S101  # everything is set up
        queues: dict[str, list[str]] = {}
        for service in (each for each in CONSUMES if each in self.services):
            bound = topology.subscriptions(service, auto_compensation=self._auto)
            for queue, events in bound.items():
                for event in events:
                    queues.setdefault(event.type, []).append(queue)
        for id_, emitted in self.emitted.items():
            for queue in queues.get(emitted.type, ()):
                if not self.broker.routed[id_]:
                    yield f"{emitted.type} {id_[:8]} was never published"
                elif undone := self.undone(queue, id_, emitted.body):
                    yield f"{emitted.type} {id_[:8]} was lost on its way to {queue}: {undone}"

    def all(self, service: str, kind: type[AnyAggregate]) -> list[AnyAggregate]:
        return [from_document(kind, each) for each in self.databases[service].all(kind.collection)]

    def one(self, service: str, kind: type[AnyAggregate], id_: str) -> AnyAggregate:
        """Raises LookupError where there is none."""
        document = self.databases[service].get(kind.collection, id_)
        if document is None:
            raise LookupError(f"{kind.collection} has no {id_}")
        return from_document(kind, document)

    def _find(self, what: str) -> None:
        self.found.append(what)


def _said(collection: str, before: Document | None, after: Document | None) -> str:
    """A change, for people."""
    document = after or before or {}
    if collection != OUTBOX:
        state = document.get("status") or document.get("state") or ""
        return f"{collection} {document['_id']} version {document.get('version')} {state}".rstrip()
    events = ", ".join(f"{event['type']} of {event['subject']}" for event in document["events"])
    if after is None:
        return f"row deleted: {events}"
    how = "row" if before is None else "row changed"
    return f"{how}, due in {(after['due'] - now()).total_seconds():.1f} s: {events}"


LONG_AFTER: Final = msgspec.convert("2026-06-01T00:00:00Z", datetime)
