"""The whole choreography in memory: the services' rules, and a bus that is as bad as a real one can be.

What the engine does around the rules is done here in the same order: decode, intent, effect, inbox,
decision, outbox. Whoever drives it decides what is delivered when, what comes twice, and who crashes where.
"""

from collections import defaultdict
from collections.abc import Collection
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, NamedTuple

from msgspec import structs

from services.fulfilment.domain import SHIPPING
from services.inventory.domain import domain as inventory_domain
from services.notification.domain import NOTIFICATIONS
from services.order.domain import DOMAIN as ORDER
from services.payment.asking import leased
from services.payment.domain import DOMAIN as PAYMENT
from services.payment.domain import intend
from services.payment.gateway import About, Heard, Voided
from services.payment.gateway import Status as Entered
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
from services.shared.contract import topology, wire
from services.shared.contract.decisions import Decision, Message, Premature, Refused, Rejected
from services.shared.contract.events import CONSUMES, OrderCancelled, RefundPayment
from services.shared.engine.rows import events_of
from tests.unit.memory import NOW, Memory

SERVICES: Final = ("order", "inventory", "payment", "notification", "fulfilment")
SERVICE_OF: Final = {queue: service for service in SERVICES for queue in CONSUMES[service]}
SERVICE_OF[ASKED_AGAIN] = "payment"
WITH_EFFECTS: Final = frozenset(CONSUMES["payment"])
# Once everything else has been delivered, so many more tries: the retry ladder's.
TRIES: Final = 4
# Who asks for a refund again does so within this time, or somebody else does.
LEASE: Final = timedelta(minutes=2)


class Fate(StrEnum):
    """What goes wrong around a delivery."""

    NOTHING = "nothing"
    # The consumer died before it committed anything.
    CRASH_BEFORE_COMMIT = "crash before commit"
    # ... after it committed and before it acknowledged.
    CRASH_BEFORE_ACK = "crash before ack"
    # ... between publishing and deleting the outbox row.
    PUBLISHED_TWICE = "published twice"


class Answer(StrEnum):
    """How the payment gateway answers."""

    CLEAR = "clear"
    # It did what was asked, and we never heard of it.
    LOST = "lost"
    DOWN = "down"
    # It did what was asked, and we died before we wrote it down.
    CRASH = "crash"


class Envelope(NamedTuple):
    queue: str
    id: str
    body: bytes
    attempts: int = 0

    @property
    def key(self) -> str:
        return f"{self.queue}/{self.id}"


class Asked(NamedTuple):
    """The intent is stored, and the gateway is being asked."""

    envelope: Envelope
    message: Message
    intent: Payment


class Bus:
    """Queues without any order, a retry queue for all, dead letters, an inbox that may be switched off, for
    all services or for the `forgetful` ones.
    """

    def __init__(
        self, *, inbox: bool, auto_compensation: bool, forgetful: Collection[str] = frozenset()
    ) -> None:
        self.memories = {
            "order": Memory(ORDER),
            "inventory": Memory(inventory_domain(auto_compensation=auto_compensation)),
            "payment": Memory(PAYMENT),
            "notification": Memory(NOTIFICATIONS),
            "fulfilment": Memory(SHIPPING),
        }
        self.auto_compensation = auto_compensation
        self.bindings = defaultdict[str, list[str]](list)
        for service in SERVICES:
            bound = topology.subscriptions(service, auto_compensation=auto_compensation)
            for queue, events in bound.items():
                for event in events:
                    self.bindings[event.type].append(queue)
        self.queued: list[Envelope] = []
        self.retrying: list[Envelope] = []
        self.asking: list[Asked] = []
        self.dead: list[tuple[Envelope, str]] = []
        self.ledger: dict[str, LedgerEntry] = {}
        # Orders that payment heard to be cancelled before the gateway had heard of anything to charge.
        self.not_to_be_charged: set[str] = set()
        # How the gateway is to decide on what it decides on later.
        self.later: dict[str, Entered] = {}
        # Whether money is held before it is taken.
        self.manual = False
        self.now: datetime = NOW
        self._remember = frozenset(SERVICES).difference(forgetful) if inbox else frozenset[str]()
        self._inbox: set[str] = set()
        self._commands = 0

    # --- in ---------------------------------------------------------------------------------------------

    def publish(self, type_: str, id_: str, body: bytes) -> None:
        for queue in self.bindings[type_]:
            self.queued.append(Envelope(queue, id_, body))

    def send(self, queue: str, body: bytes) -> None:
        """As an older publisher does: to the queue itself, without an id."""
        self.queued.append(Envelope(queue, wire.content_id(queue, body), body))

    def command(self, service: str, command: object) -> Decision | None:
        """None where the state forbids it."""
        self._commands += 1
        message = Message(id=f"command-{self._commands}", source="http", body=command, at=self.now)
        try:
            decision = self.memories[service].decide(message)
        except Refused:
            return None
        self._emit(message, decision)
        return decision

    def tick(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        self._ask_again()

    def gateway_decides(self, order_id: str | None = None) -> None:
        """On what waits for that: all of it, or of one order."""
        for key, entry in self.ledger.items():
            if entry.status is Entered.PENDING and order_id in {None, entry.order_id}:
                self.ledger[key] = structs.replace(entry, status=self.later[key])

    def gateway_speaks(self, order_id: str, about: About = About.CHARGE) -> None:
        """By itself, whether there is anything to say or not."""
        self.command("payment", Heard("evt", order_id, about))

    def _ask_again(self) -> None:
        """About all whose time has come."""
        memory = self.memories["payment"]
        for payment in memory.all(Payment):
            after, asks = leased(payment, self.now, self.now + LEASE)
            if asks:
                memory.store([after])
            for ask in asks:
                message = Message(id=ask.id, source=ASKED_AGAIN, body=ask, at=self.now)
                envelope = Envelope(ASKED_AGAIN, ask.id, b"")
                if not self._intend(envelope, message):
                    self._commit(envelope, message, Fate.NOTHING)

    # --- out --------------------------------------------------------------------------------------------

    def deliver(self, envelope: Envelope, fate: Fate = Fate.NOTHING, *, last_try: bool = False) -> None:
        self.queued.remove(envelope)
        message = Message(
            id=envelope.id,
            source=envelope.queue,
            body=wire.decode(envelope.queue, envelope.body),
            at=self.now,
            last_try=last_try,
        )
        if envelope.queue in WITH_EFFECTS and self._intend(envelope, message):
            return
        self._commit(envelope, message, fate)

    def _intend(self, envelope: Envelope, message: Message) -> bool:
        memory = self.memories["payment"]
        before = memory.get(Payment, message.body.order_id)  # type: ignore[attr-defined]  # an order's event
        intent = intend(before, message)
        if intent is None:
            return False
        if intent is not before:
            memory.store([intent])
        if intent.state is PaymentState.VOIDING:
            self._note_what_is_void(intent)
        self.asking.append(Asked(envelope, message, intent))
        return True

    def answer(
        self,
        asked: Asked,
        answer: Answer,
        fate: Fate = Fate.NOTHING,
        *,
        accept: bool = True,
        refusals: int = 0,
        later: bool = False,
    ) -> None:
        """The gateway answers, or does not: `accept` decides on a charge that it sees for the first time, now
        or `later`, and so many of its refunds are refused.
        """
        self.asking.remove(asked)
        if answer is Answer.DOWN:
            self._later(asked.envelope)
            return
        outcome = self._perform(asked, accept=accept, refusals=refusals, later=later)
        if outcome is None:
            return  # it knows nothing of it: the clock brings it up again
        if answer is Answer.LOST:
            self._later(asked.envelope)
        elif answer is Answer.CRASH:
            self._again(asked.envelope)
        else:
            self._commit(asked.envelope, structs.replace(asked.message, body=outcome), fate)

    def _later(self, envelope: Envelope) -> None:
        if envelope.queue != ASKED_AGAIN:  # or the clock brings it up
            self.retrying.append(envelope)

    def _again(self, envelope: Envelope) -> None:
        if envelope.queue != ASKED_AGAIN:
            self.queued.append(envelope)

    def _perform(
        self, asked: Asked, *, accept: bool, refusals: int, later: bool
    ) -> ChargeOutcome | RefundOutcome | None:
        payment, event = asked.intent, asked.message.body
        if payment.state is not PaymentState.REFUNDING:
            return self._charge(asked, accept=accept, refusals=refusals, later=later)
        assert isinstance(event, RefundPayment | AskAgain)
        refund = refund_of(payment, event)
        assert refund is not None, "asked for before it was written down"
        wanted = payment.asks(refund)
        entries = [entry for entry in self.ledger.values() if entry.order_id == payment.id]
        entry = self._enter(refund_entry(entries, wanted, f"txn_{wanted.key}"))
        return RefundOutcome(event, entry.refund_result, refund.attempt, self.now)

    def _charge(self, asked: Asked, *, accept: bool, refusals: int, later: bool) -> ChargeOutcome | None:
        """By the state that was stored, as `effects` does; None where the gateway has nothing to say."""
        payment, message = asked.intent, asked.message
        key, charge = payment.capture_key, payment.charge()
        asks_first = payment.state is PaymentState.CAPTURING and asked.envelope.queue != ASKED_AGAIN
        if asks_first and key not in self.ledger:
            assert payment.id not in self.not_to_be_charged, "charged, though it was cancelled before"
            taken = Entered.AUTHORIZED if self.manual else Entered.CAPTURED
            self.later[key] = taken if accept else Entered.DECLINED
            status = Entered.PENDING if later else self.later[key]
            self._enter(LedgerEntry.of_charge(charge, f"txn_{key}", status, refusals=refusals))
        if payment.state is PaymentState.VOIDING:
            entry = self._enter(LedgerEntry.of_charge(charge, f"txn_{key}", Entered.VOIDED))
            self.ledger[key] = entry.voided()
        if payment.state is PaymentState.AUTHORIZED:
            self.ledger[key] = self.ledger[key].captured()
        known = self.ledger.get(key)
        if known is None and payment.state in {PaymentState.VOIDED, PaymentState.DECLINED}:
            return ChargeOutcome(message.body, Voided(), self.now)  # type: ignore[arg-type]  # what asks
        return None if known is None else ChargeOutcome(message.body, known.charge_result, self.now)  # type: ignore[arg-type]  # see above

    def _enter(self, asked: LedgerEntry) -> LedgerEntry:
        """What the gateway's own ledger says under the key: what was first entered."""
        entry = self.ledger.setdefault(asked.id, asked)
        assert entry.is_same_request(asked), "a key was used for something else"
        return entry

    def _commit(self, envelope: Envelope, message: Message, fate: Fate) -> None:
        if fate is Fate.CRASH_BEFORE_COMMIT:
            self._again(envelope)
            return
        service = SERVICE_OF[envelope.queue]
        if envelope.key in self._inbox:
            return
        memory = self.memories[service]
        if message.source == "payment-events" and isinstance(message.body, OrderCancelled):
            order_id = message.body.order_id
            if self.memories["payment"].get(Payment, order_id) is None:
                self.not_to_be_charged.add(order_id)
        try:
            decision = memory.decide(message)
        except Premature:
            self._later(envelope)
            return
        except Rejected as error:
            self.dead.append((envelope, str(error)))
            return
        if service in self._remember:
            self._inbox.add(envelope.key)
        self._emit(message, decision)
        if fate is Fate.PUBLISHED_TWICE:
            self._emit(message, decision)
        if fate is Fate.CRASH_BEFORE_ACK:
            self._again(envelope)

    def _note_what_is_void(self, payment: Payment) -> None:
        """Unless the gateway knows of it, or is being asked."""
        asked = any(each.intent.id == payment.id for each in self.asking)
        if not asked and payment.capture_key not in self.ledger:
            self.not_to_be_charged.add(payment.id)

    def _emit(self, message: Message, decision: Decision) -> None:
        for entry in events_of(message, decision):
            self.publish(entry.type, entry.id, entry.body.encode())

    def retry(self, envelope: Envelope) -> None:
        self.retrying.remove(envelope)
        self.queued.append(envelope)

    def duplicate(self, envelope: Envelope) -> None:
        self.queued.append(envelope)

    def _times(self) -> list[datetime]:
        """When the gateway is to be asked again."""
        times = [payment.ask_at for payment in self.memories["payment"].all(Payment)]
        return [at for at in times if at is not None]

    # --- the end ----------------------------------------------------------------------------------------

    def drain(self) -> None:
        """Everything is well again: what is under way arrives, what waits is tried as often as it may be."""
        while self.queued or self.asking or self.retrying or self._times():
            if not (self.queued or self.asking or self.retrying):
                self.gateway_decides()
                self.now = max(self.now, min(self._times()))
                self._ask_again()
            while self.queued or self.asking:
                for asked in tuple(self.asking):
                    self.answer(asked, Answer.CLEAR)
                for envelope in tuple(self.queued):
                    self.deliver(envelope, last_try=envelope.attempts >= TRIES - 1)
            waiting, self.retrying = self.retrying, []
            for envelope in waiting:
                if envelope.attempts >= TRIES:
                    self.dead.append((envelope, "tried too often"))
                else:
                    self.queued.append(envelope._replace(attempts=envelope.attempts + 1))
