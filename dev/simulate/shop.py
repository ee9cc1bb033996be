"""A shop of five services or six, two replicas each, with customers, an operator, and a nemesis."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache, partial
from random import Random
from typing import Any, Final, NamedTuple

from msgspec import structs

from dev.simulate.broker import Broker, Queue, Stored
from dev.simulate.clock import Process
from dev.simulate.database import Database
from dev.simulate.database_client import now
from dev.simulate.dice import OF_BROKER, OF_REPLICAS, Dice, Fault
from dev.simulate.gateway import SimulatedGateway
from dev.simulate.history import History
from dev.simulate.judge import Judge
from dev.simulate.replica import Around, Gone, Replica, domains
from services.fulfilment.settings import FulfilmentSettings
from services.fulfilment.shipment import Deliver, Ship, Shipment, ShipmentState
from services.inventory.moves import Reason
from services.inventory.products import Adjust, Restock
from services.inventory.settings import InventorySettings
from services.notification.settings import NotificationSettings
from services.order.commands import CancelOrder, CreateOrder, RequestRefund, TimeOut
from services.order.domain import COMPENSABLE
from services.order.model import Line, Order, RefundLine, Restocking, Status
from services.order.settings import OrderSettings
from services.payment.gateway import About, Gateway, Heard
from services.payment.payment import Payment
from services.payment.settings import PaymentSettings
from services.product.domain import CreateProduct, Price
from services.product.settings import ProductSettings
from services.shared.contract import topology
from services.shared.contract.decisions import Decision, Refused, Unavailable
from services.shared.contract.events import CONSUMES
from services.shared.contract.idempotency import Key, key_of
from services.shared.engine.envelope import FAILURE, REDRIVEN
from services.shared.engine.leases import OUTBOX
from services.shared.settings import EngineSettings

SETTINGS: Final = (
    OrderSettings,
    InventorySettings,
    PaymentSettings,
    NotificationSettings,
    ProductSettings,
)
WITH_FULFILMENT: Final = (*SETTINGS, FulfilmentSettings)
# What has no default.
SAID: Final[Mapping[str, Mapping[str, Any]]] = {"payment": {"payment_gateway": "mock"}}
REPLICAS: Final = 2
# How many customers send an idempotency key, and so can try again.
KEYED: Final = 0.8
PRODUCTS: Final = 3
PRICE: Final = 1000
BATCHES: Final = (1, 3, 100)
# Between two orders, by the kind of shop; two looks of the nemesis at each process, of the operator at the
# orders (seconds).
ORDER_SECONDS: Final = (0.05, 0.3, 1.0)
NEMESIS_SECONDS: Final = 4.0
# How long things go on failing once the last order is placed: long enough to ask again for a refund.
EVENING_SECONDS: Final = (0.0, 0.0, 150.0)
OPERATOR_SECONDS: Final = 15.0
STALE_SECONDS: Final = 60.0
WINDOW_SECONDS: Final = 8.0
# Once nothing goes wrong any more, everything is to come to rest within so long.
REST_SECONDS: Final = 900.0
TRIES: Final = 6
# How often a second the gateway says something of itself; of what.
SPEAKS: Final = 0.5
SAYS: Final = (About.CHARGE, About.CHARGE, About.REFUND)
REDRIVES: Final = 3


# Does it, for so many seconds.
Strike = Callable[[Fault, float], Coroutine[Any, Any, None]]


class Run(NamedTuple):
    """What one simulation is to be: the same run gives the same history, to the last step."""

    seed: str
    orders: int
    # Faults and orders that are left out.
    without: frozenset[str] = frozenset()
    unplaced: frozenset[int] = frozenset()
    often: frozenset[Fault] = frozenset()
    # Whether the shop sends goods; None: the seed decides.
    ships: bool | None = None


@dataclass(slots=True)
class Promises:
    """What customers were told of their orders, by id."""

    accepted: set[str] = field(default_factory=set)
    # Answered 503, and not that the outcome is unknown.
    refused: set[str] = field(default_factory=set)
    # All ids that were tried under one idempotency key.
    keys: dict[str, list[str]] = field(default_factory=dict)


@cache  # a shop lasts half a second: reading them, with all certificates, was a third of that
def _settings(batch: int) -> Mapping[str, EngineSettings]:
    """Of each service."""
    return {
        each.service: each(commit_max_batch=batch, **SAID.get(each.service, {})) for each in WITH_FULFILMENT
    }


class Shop:
    def __init__(self, run: Run, history: History) -> None:
        self.run_, self.history = run, history
        self.dice = Dice(run.seed, without=run.without, often=run.often)
        kind = self.dice.at("kind of shop").random
        auto = kind.random() < 1 / 2
        self.judge = Judge(domains(auto_compensation=auto), history, auto_compensation=auto)
        self.broker = Broker(self.dice, history, self.judge.acknowledged)
        batch = kind.choice(BATCHES)
        self._pace = kind.choice(ORDER_SECONDS)
        self._evening = kind.choice(EVENING_SECONDS)
        databases = {
            each.service: Database(each.service, partial(self.judge.committed, each.service))
            for each in WITH_FULFILMENT
        }
        self.judge.databases, self.judge.broker = databases, self.broker
        around = Around(
            self.dice,
            history,
            self.broker,
            databases,
            set(),
            self._gateway,
            _settings(batch),
            auto,
            manual=kind.random() < 1 / 3,
        )
        self._ships = kind.random() < 1 / 2 if run.ships is None else run.ships
        running = WITH_FULFILMENT if self._ships else SETTINGS
        self.judge.services = frozenset(each.service for each in running)
        self.replicas = [
            Replica(around, each.service, number) for each in running for number in range(1, REPLICAS + 1)
        ]
        self.promises = Promises()
        self._redriven: dict[tuple[str, str], int] = {}

    def _gateway(self, process: Process) -> Gateway:
        """As one process reaches it."""
        return SimulatedGateway(process, self.dice, self.judge.ledger)

    # --- one run ----------------------------------------------------------------------------------------

    async def run(self) -> list[str]:
        """What does not hold once all has come to rest; what does not hold before is `judge.found`."""
        for replica in self.replicas:
            replica.start()
        strikes: dict[str, tuple[Strike, Sequence[Fault]]]
        strikes = {replica.name: (partial(self._strike, replica), OF_REPLICAS) for replica in self.replicas}
        strikes["broker"] = (self._strike_broker, OF_BROKER)
        nemesis = [asyncio.ensure_future(self._haunt(name, *how)) for name, how in strikes.items()]
        operator = asyncio.ensure_future(self._operate())
        gateway = asyncio.ensure_future(self._speak())
        await self._open()
        await self._sell()
        await asyncio.sleep(self._evening)
        self.dice.calm = True
        self.history.note("nemesis", "from now on nothing goes wrong any more")
        await asyncio.gather(*nemesis)
        rested = await self._rest()
        operator.cancel()
        gateway.cancel()
        return self._findings(rested=rested)

    def _findings(self, *, rested: bool) -> list[str]:
        findings = [failure for replica in self.replicas for failure in replica.failures]
        if not rested:
            findings.append("a quarter of an hour after the last fault there is still no rest")
        return [*findings, *self._broken_promises(), *self._dead(), *self.judge.at_rest()]

    async def _open(self) -> None:
        """A shop is installed before it sells: an event that comes before its queue is for nobody."""
        wanted = {queue for service in self.judge.services for queue in CONSUMES.get(service, {})}
        while not wanted <= {queue.name for queue in self.broker.queues.values() if queue.receivers}:
            await asyncio.sleep(0.1)

    async def _sell(self) -> None:
        customers = [asyncio.ensure_future(self._stock_up(number)) for number in range(PRODUCTS)]
        place = self.dice.at("street")
        for number in range(self.run_.orders):
            await asyncio.sleep(place.seconds(self._pace))
            if number not in self.run_.unplaced:
                customers.append(asyncio.ensure_future(self._buy(number)))
        await asyncio.gather(*customers)

    async def _rest(self) -> bool:
        end = asyncio.get_running_loop().time() + REST_SECONDS
        while asyncio.get_running_loop().time() < end:
            await asyncio.sleep(1.0)
            if self._is_at_rest():
                return True
        return False

    def _is_at_rest(self) -> bool:
        return (
            self.broker.is_empty
            and not any(database.all(OUTBOX) for database in self.judge.databases.values())
            and all(order.settled for order in self.judge.all("order", Order))
            and all(payment.ask_at is None for payment in self.judge.all("payment", Payment))
            and not any(_is_asking(shipment) for shipment in self.judge.all("fulfilment", Shipment))
            and not self._to_redrive()
        )

    # --- customers --------------------------------------------------------------------------------------

    async def _call(self, service: str, command: object, id_: str) -> Decision:
        """Asks any replica that is there. Raises Gone, Refused and Unavailable."""
        place = self.dice.at(f"call {id_}")
        await asyncio.sleep(place.latency())
        of_service = [each for each in self.replicas if each.service == service]
        replicas = [each for each in of_service if each.is_up] or of_service
        return await place.random.choice(replicas).execute(command, id_)

    async def _stock_up(self, number: int) -> None:
        place = self.dice.at(f"product {number}")
        product_id = f"product-{number}"
        create = CreateProduct(
            product_id=product_id,
            name=product_id,
            description="",
            price=Price(PRICE, "USD"),
            initial_stock=place.random.choice((1, 5, 10 * self.run_.orders)),
        )
        while True:
            with suppress(Gone, Unavailable):
                await self._call("product", create, product_id)
                break
            await asyncio.sleep(place.seconds(1.0))
        if place.random.random() < 1 / 2:
            await asyncio.sleep(place.seconds(5.0))
            key = Key(f"restock/{number}", "told")
            told = place.random.choice(
                (
                    Restock(product_id=product_id, quantity=3, key=key),
                    Adjust(product_id=product_id, delta=-2, reason=Reason.LOST, key=key),
                )
            )
            with suppress(Gone, Refused, Unavailable):
                await self._call("inventory", told, f"restock-{number}")

    async def _buy(self, number: int) -> None:
        random = self.dice.at(f"customer {number}").random
        wanted = random.sample(range(PRODUCTS), random.randint(1, 2))
        order = CreateOrder(
            order_id="",
            customer_id=f"customer-{number}",
            email=f"customer-{number}@example.com",
            lines=tuple(Line(f"product-{each}", random.randint(1, 2), PRICE) for each in wanted),
            currency="USD",
            fulfilment=random.choice(("all", "partial")),
            payment_token=self._card(random),
            key=key_of(f"customer-{number}", f"key-{number}" if random.random() < KEYED else None, wanted),
        )
        order_id = await self._place(number, order)
        if order_id is None:
            return
        parcels = [asyncio.ensure_future(self._ship(number, order_id))] if self._ships else []
        await asyncio.sleep(random.expovariate(1.0))
        match random.randrange(6):
            case 0:
                await self._ask(CancelOrder(order_id=order_id, customer_id=None), f"cancel-{number}")
            case 1 if await self._is_paid(order_id):
                await self._refund(number, order_id, ())
            case 2 | 3 if await self._is_paid(order_id):
                for part in range(random.randint(1, 3)):
                    line = RefundLine(
                        random.choice(order.lines).product_id,
                        random.randint(1, 2),
                        random.choice(list(Restocking)),
                    )
                    await self._refund(f"{number}.{part}", order_id, (line,))
                    await asyncio.sleep(random.expovariate(1.0))
        for parcel in parcels:
            await parcel

    async def _ship(self, number: int, order_id: str) -> None:
        """Whoever packs parcels knows nothing of refunds that are asked for meanwhile."""
        random = self.dice.at(f"parcel {number}").random
        if random.random() < 1 / 3 or not await self._is_paid(order_id):
            return
        for step, command in (("ship", Ship(order_id=order_id)), ("deliver", Deliver(order_id=order_id))):
            for attempt in range(TRIES):
                await asyncio.sleep(random.expovariate(1.0))
                await self._ask(command, f"{step}-{number}.{attempt}", "fulfilment")

    def _card(self, _: Random) -> str | None:
        """Whoever is charged by the key alone has none."""
        return None

    async def _is_paid(self, order_id: str) -> bool:
        """Once that is decided, for which the operator sees to it; not, where nobody does."""
        end = asyncio.get_running_loop().time() + STALE_SECONDS + 2 * OPERATOR_SECONDS
        while asyncio.get_running_loop().time() < end:
            order = self.judge.one("order", Order, order_id)
            if order.status not in COMPENSABLE:
                return order.status is Status.PAID
            await asyncio.sleep(1.0)
        return False

    async def _refund(self, number: object, order_id: str, lines: tuple[RefundLine, ...]) -> None:
        refund = RequestRefund(
            order_id=order_id,
            customer_id=None,
            reason="broken",
            refund_request_id=f"refund-{number}",
            lines=lines,
        )
        random = self.dice.at(f"refund {number}").random
        for attempt in range(TRIES):
            with suppress(Gone, Refused, Unavailable):
                await self._call("order", refund, f"refund-{number}.{attempt}")
                return
            # Less is left, or nobody knows whether it was asked for: by its name it is once.
            await asyncio.sleep(random.expovariate(0.3))

    async def _place(self, number: int, order: CreateOrder) -> str | None:
        """The order's id, once it is accepted. Who has an idempotency key tries again with it."""
        for attempt in range(TRIES):
            order_id = f"order-{number}.{attempt}"
            if order.key is not None:
                self.promises.keys.setdefault(order.key.id, []).append(order_id)
            try:
                decision = await self._call("order", _with_id(order, order_id), order_id)
            except Unavailable as error:
                self.history.note(f"customer {number}", f"{order_id}: {error}")
                if not error.unknown:
                    self.promises.refused.add(order_id)
            except Gone:
                self.history.note(f"customer {number}", f"{order_id}: no answer")
            else:
                assert isinstance(decision.reply, Order)  # noqa: S101  # what the command answers with
                self.history.note(f"customer {number}", f"{decision.reply.id} is accepted")
                self.promises.accepted.add(decision.reply.id)
                return decision.reply.id
            if order.key is None:
                return None
            await asyncio.sleep(self.dice.at(f"customer {number}").seconds(1.0))
        return None

    async def _ask(self, command: object, id_: str, service: str = "order") -> None:
        with suppress(Gone, Refused, Unavailable):
            await self._call(service, command, id_)

    # --- the gateway, of itself -------------------------------------------------------------------------

    async def _speak(self) -> None:
        """Says, of some charges, that there is something to hear: too early, several times, or of nothing."""
        place = self.dice.at("voice of the gateway")
        while True:
            await asyncio.sleep(place.seconds(1.0))
            known = sorted(self.judge.ledger)
            if known and place.random.random() < SPEAKS:
                entry = self.judge.ledger[place.random.choice(known[-20:])]
                heard = Heard(f"evt-{place.random.random()}", entry.order_id, place.random.choice(SAYS))
                for _ in range(place.random.randint(1, 2)):
                    await self._ask(heard, heard.id, "payment")

    # --- the operator -----------------------------------------------------------------------------------

    async def _operate(self) -> None:
        """Compensates what is stale, and gives dead letters another chance."""
        sweeps = 0
        while True:
            await asyncio.sleep(OPERATOR_SECONDS)
            sweeps += 1
            for order in self.judge.all("order", Order):
                stale = (now() - order.state_since).total_seconds() > STALE_SECONDS
                if order.status in COMPENSABLE and stale:
                    await self._ask(_time_out(order), f"timeout-{sweeps}-{order.id}")
            for queue, letter in self._to_redrive():
                self._redrive(queue, letter)

    def _to_redrive(self) -> list[tuple[Queue, Stored]]:
        return [
            (queue, letter)
            for queue, letter in self.broker.dead_letters()
            if self._redriven.get((queue.name, letter.id), 0) < REDRIVES
        ]

    def _redrive(self, queue: Queue, letter: Stored) -> None:
        key = (queue.name, letter.id)
        self._redriven[key] = self._redriven.get(key, 0) + 1
        queue.ready.remove(letter)
        headers = {
            name: value for name, value in (letter.properties.headers or {}).items() if name not in FAILURE
        }
        letter.properties.headers = headers | {REDRIVEN: now().isoformat()}
        origin = queue.name.removesuffix(".dlq")
        service = next(each.service for each in WITH_FULFILMENT if origin in CONSUMES.get(each.service, {}))
        self.broker.publish(topology.retry_exchange(service), origin, letter)

    # --- the nemesis ------------------------------------------------------------------------------------

    async def _haunt(self, name: str, strike: Strike, possible: Sequence[Fault]) -> None:
        place = self.dice.at(f"nemesis of {name}")
        while not self.dice.calm:
            await asyncio.sleep(place.seconds(NEMESIS_SECONDS))
            fault = place.fate(*possible)
            seconds = place.seconds(WINDOW_SECONDS)
            if fault is not None:
                self.history.note("nemesis", f"{name}: {fault} ({seconds:.1f} s)")
                await strike(fault, seconds)

    async def _strike(self, replica: Replica, fault: Fault, seconds: float) -> None:
        match fault:
            case Fault.STALLED:
                replica.stall(stalled=True)
                await asyncio.sleep(seconds)
                replica.stall(stalled=False)
            case Fault.RESTARTED:
                await replica.restart()
            case Fault.KILLED:
                replica.kill()
            case Fault.NO_DATABASE:
                replica.reaches_database = False
                await asyncio.sleep(seconds)
                replica.reaches_database = True
            case Fault.NO_BROKER:
                replica.reaches_broker = False
                replica.cut_broker()
                await asyncio.sleep(seconds)
                replica.reaches_broker = True

    async def _strike_broker(self, fault: Fault, seconds: float) -> None:
        if fault is Fault.BROKER_STALLED:
            self.broker.stalled_until = asyncio.get_running_loop().time() + seconds
            return
        self.broker.up = False
        for replica in self.replicas:
            replica.cut_broker()
        await asyncio.sleep(seconds)
        self.broker.up = True

    # --- what customers were told -----------------------------------------------------------------------

    def _broken_promises(self) -> list[str]:
        there = {order.id for order in self.judge.all("order", Order)}
        broken = [f"{id_} was accepted, and does not exist" for id_ in sorted(self.promises.accepted - there)]
        broken += [
            f"{id_} was answered 503, and carried out" for id_ in sorted(self.promises.refused & there)
        ]
        for key, ids in self.promises.keys.items():
            if len(several := there & set(ids)) > 1:
                broken.append(f"{key} gave {sorted(several)}")
        return broken

    def _dead(self) -> list[str]:
        return [
            f"{letter!s} is dead in {queue.name}: {letter.properties.headers}"
            for queue, letter in self.broker.dead_letters()
        ]


def _with_id(order: CreateOrder, id_: str) -> CreateOrder:
    return structs.replace(order, order_id=id_)


def _is_asking(shipment: Shipment) -> bool:
    return shipment.state is ShipmentState.SHIPPING


def _time_out(order: Order) -> TimeOut:
    return TimeOut(order_id=order.id, status=order.status, older_than=STALE_SECONDS, reason="stuck")
