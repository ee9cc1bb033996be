"""Simulated shops that lose messages on purpose, and what a person on call would read of them at any time."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cache
from typing import Final, Protocol, TypeAlias

import msgspec
from pamqp.commands import Basic

from dev.simulate.broker import Queue, Stored
from dev.simulate.clock import VirtualLoop
from dev.simulate.database_client import EPOCH, now
from dev.simulate.history import History
from dev.simulate.running import _all_to_itself
from dev.simulate.shop import Run, Shop
from sagactl.oncall.explain.explaining import explain
from sagactl.oncall.explain.explanation import Explanation, Verdict
from sagactl.oncall.explain.marks import CONSUMER, READ, Letter, Marks, Unsent
from sagactl.oncall.invariants import Case
from services.fulfilment.shipment import Shipment
from services.inventory.reservation import Reservation
from services.inventory.stock import Stock
from services.notification.domain import Notification
from services.order.model import Order
from services.payment.payment import Payment
from services.shared.contract.decisions import AnyAggregate
from services.shared.contract.events import PUBLISHES
from services.shared.contract.identity import cause
from services.shared.database.store import from_document
from services.shared.engine.envelope import ERROR, ERROR_KIND
from services.shared.engine.leases import OUTBOX

DEAD: Final = ".dlq"


class Loss(StrEnum):
    """What becomes of a message, on purpose."""

    DROPPED = "dropped"
    DEAD_LETTERED = "dead-lettered"
    # It was given up, and somebody put it away.
    DISCARDED = "discarded"
    # The broker takes it from nobody.
    LEFT_IN_THE_OUTBOX = "left in the outbox"
    NOTHING = "nothing"


NOTHING: Final = Loss.NOTHING


@dataclass
class Losing:
    """Loses every message that `chosen` picks by queue, type and order, each copy of it."""

    loss: Loss
    chosen: Callable[[str, str, str], bool]
    # Order -> the hops that were lost, `queue/id`.
    lost: dict[str, set[str]] = field(default_factory=dict)
    # Those that were discarded, with their queue.
    discarded: list[tuple[Queue, Stored]] = field(default_factory=list)
    # Messages between an exchange and a queue, by queue.
    under_way: Counter[str] = field(default_factory=Counter)

    def loses(self, queue: str, message: Stored) -> bool:
        about = str(message.properties.correlation_id)
        if self.loss is NOTHING or queue not in CONSUMER or not about.startswith("order-"):
            return False
        if not self.chosen(queue, str(message.properties.message_type), about):
            return False
        self.lost.setdefault(about, set()).add(cause(queue, message.id))
        return True


def losing(shop: Shop, loss: Losing) -> None:
    """Puts the loss between the shop's exchanges and queues."""
    broker = shop.broker
    route, enqueue, publish = broker._route, broker._enqueue, broker.publish  # noqa: SLF001  # the way in

    def _route(queue: Queue, message: Stored) -> None:
        if loss.loss is not Loss.LEFT_IN_THE_OUTBOX and loss.loses(queue.name, message):
            if loss.loss is Loss.DEAD_LETTERED:
                route(broker.queues[queue.name + DEAD], _with_reason(message))
            if loss.loss is Loss.DISCARDED:
                loss.discarded.append((queue, _with_reason(message)))
            return
        before = broker.under_way
        route(queue, message)
        loss.under_way[queue.name] += broker.under_way - before

    def _enqueue(queue: Queue, message: Stored) -> None:
        loss.under_way[queue.name] -= 1
        enqueue(queue, message)

    def _publish(exchange: str, key: str, message: Stored) -> bool:
        if loss.loss is Loss.LEFT_IN_THE_OUTBOX:
            queues = list(broker._bindings[exchange, key])  # noqa: SLF001  # see above
            lost = [loss.loses(queue, message) for queue in queues]  # all of them are noted
            if any(lost):
                return False
        return publish(exchange, key, message)

    broker._route, broker._enqueue, broker.publish = _route, _enqueue, _publish  # type: ignore[method-assign]  # noqa: SLF001


def _with_reason(message: Stored) -> Stored:
    headers = {**(message.properties.headers or {}), ERROR: "no such column", ERROR_KIND: "failed"}
    properties = Basic.Properties(
        message_id=message.properties.message_id,
        correlation_id=message.properties.correlation_id,
        message_type=message.properties.message_type,
        headers=headers,
    )
    return replace(message, properties=properties)


class Snapshot:
    """All that there is to be read of a shop at this instant, by order."""

    def __init__(self, shop: Shop, loss: Losing) -> None:
        self._shop = shop
        self._stock = {stock.id: stock for stock in shop.judge.all("inventory", Stock)}
        self._told = defaultdict[str, list[Notification]](list)
        for each in shop.judge.all("notification", Notification):
            self._told[each.order_id].append(each)
        self._letters = defaultdict[str, list[Letter]](list)
        for queue, letter in shop.broker.dead_letters():
            self._letters[str(letter.properties.correlation_id)].append(_letter(queue, letter))
        self._discarded = defaultdict[str, list[Letter]](list)
        for queue, letter in loss.discarded:
            self._discarded[str(letter.properties.correlation_id)].append(_letter(queue, letter))
        self._unsent = defaultdict[str, list[Unsent]](list)
        for service, database in shop.judge.databases.items():
            for row in database.all(OUTBOX):
                for event in row["events"]:
                    unsent = Unsent(event["id"], event["type"], service, row["at"])
                    self._unsent[event["subject"]].append(unsent)
        self._waiting = {
            queue.name: len(queue.ready) + queue.unacknowledged + loss.under_way[queue.name]
            for queue in shop.broker.queues.values()
        }

    def marks(self, order_id: str) -> Marks:
        ledger = [entry for entry in self._shop.judge.ledger.values() if entry.order_id == order_id]
        return Marks(
            case=Case(
                order_id,
                self._one("order", Order, order_id),
                self._one("inventory", Reservation, order_id),
                self._one("payment", Payment, order_id),
                ledger,
                self._told[order_id],
                self._one("fulfilment", Shipment, order_id),
            ),
            at=now(),
            stock=self._stock,
            unsent=tuple(self._unsent[order_id]),
            letters=tuple(self._letters[order_id]),
            discarded=tuple(self._discarded[order_id]),
            waiting=self._waiting,
            letters_read={queue: self._waiting.get(queue + DEAD, 0) for queue in CONSUMER},
            auto_compensation=self._shop.judge._auto,  # noqa: SLF001  # as it was set
            ships_since=EPOCH if "fulfilment" in self._shop.judge.services else None,
        )

    def _one(self, service: str, kind: type[AnyAggregate], id_: str) -> AnyAggregate | None:
        document = self._shop.judge.databases[service].get(kind.collection, id_)
        return None if document is None else from_document(kind, document)


def _letter(queue: Queue, letter: Stored) -> Letter:
    said = letter.properties.headers or {}
    type_ = str(letter.properties.message_type)
    return Letter(queue.name.removesuffix(DEAD), letter.id, type_, str(said.get(ERROR)), letter.body)


# --- a whole run ------------------------------------------------------------------------------------------

# Looks at every order that often, from the first to some time after the last (virtual seconds).
LOOK_SECONDS: Final = 3.0
AFTER_SECONDS: Final = 480.0


# Order -> what was read of it but the time and how much waits, and its explanation.
Known: TypeAlias = dict[str, tuple[tuple[Case, tuple[Unsent, ...], tuple[Letter, ...]], Explanation]]


class Look(Protocol):
    def __call__(self, shop: Shop, explained: Mapping[str, Explanation], *, at_the_end: bool) -> None: ...


class Mend(Protocol):
    async def __call__(self, shop: Shop, loss: Losing, /) -> None: ...


async def redrive(shop: Shop, _: Losing) -> None:
    """All dead letters."""
    for queue, letter in shop.broker.dead_letters():
        shop._redrive(queue, letter)  # noqa: SLF001  # as its operator does


def run(
    seed: str,
    orders: int,
    loss: Losing,
    look: Look,
    *,
    calm: bool = True,
    meanwhile: bool = True,
    mended: Mend | None = None,
) -> Shop:
    """Runs a shop without an operator. `look` gets every order's explanation, again and again; and whether
    that is the end. Without `meanwhile` it looks only then. `mended`: then nothing more is lost, this is
    done, and there is one more look at the end.
    """
    loop = VirtualLoop()
    with _all_to_itself(seed):
        shop = Shop(Run(seed, orders, ships=True), History(kept=False))
        losing(shop, loss)
        life = _life(shop, loss, look, calm=calm, meanwhile=meanwhile, mended=mended)
        try:
            loop.run(life, lambda: False)
        finally:
            loop.close()
    return shop


async def _life(
    shop: Shop, loss: Losing, look: Look, *, calm: bool, meanwhile: bool, mended: Mend | None
) -> list[str]:
    known: Known = {}
    shop.dice.calm = calm
    for replica in shop.replicas:
        replica.start()
    await shop._open()  # noqa: SLF001  # as `Shop.run` does, without an operator and at our pace
    selling = asyncio.ensure_future(shop._sell())  # noqa: SLF001  # see above
    while not selling.done():
        await asyncio.sleep(LOOK_SECONDS)
        if meanwhile:
            look(shop, _explained(shop, loss, known), at_the_end=False)
    await selling
    shop.dice.calm = True
    await asyncio.sleep(AFTER_SECONDS)
    look(shop, _explained(shop, loss, {}), at_the_end=True)
    if mended is not None:
        loss.loss = NOTHING
        await mended(shop, loss)
        await asyncio.sleep(AFTER_SECONDS)
        look(shop, _explained(shop, loss, {}), at_the_end=True)
    return []


def _explained(shop: Shop, loss: Losing, known: Known) -> dict[str, Explanation]:
    """What was settled, and of which nothing else is read than then, is not explained anew: that is most."""
    snapshot = Snapshot(shop, loss)
    explained = {}
    for order in shop.judge.all("order", Order):
        marks = snapshot.marks(order.id)
        read = (marks.case, marks.unsent, marks.letters)
        before, told = known.get(order.id, (None, None))
        if told is None or told.verdict is not Verdict.SETTLED or before != read:
            told = explain(marks)
            known[order.id] = (read, told)
        explained[order.id] = told
    return explained


EMITTED: Final = {event.type for service in READ for event in PUBLISHES.get(service, ())}


def emitted(shop: Shop) -> Mapping[str, set[str]]:
    """Order -> the ids of all events about it that a service whose books are read has committed."""
    found = defaultdict[str, set[str]](set)
    for id_, event in shop.judge.emitted.items():
        if event.type in EMITTED and (about := _about(event.body)) is not None:
            found[about].add(id_)
    return found


@cache
def _about(body: bytes) -> str | None:
    """Which order an event is about. All of them are asked for at each look."""
    about: str | None = msgspec.json.decode(body)["data"].get("orderId")
    return about
