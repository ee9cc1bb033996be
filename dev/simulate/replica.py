"""One replica of a service: the real engine with the service's rules, on servers in memory."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Final, NamedTuple, cast

from aio_pika.abc import AbstractConnection
from pymongo import AsyncMongoClient
from redis.asyncio import Redis

from dev.simulate.broker import Broker
from dev.simulate.broker_client import CONNECT_SECONDS, Connection
from dev.simulate.clock import Process
from dev.simulate.database import Database, Document
from dev.simulate.database_client import OUTSIDE, Client, Way
from dev.simulate.dice import Dice
from dev.simulate.history import History
from dev.simulate.redis_hints import Hints
from services.fulfilment.domain import SHIPPING
from services.inventory.domain import domain as inventory
from services.notification.domain import NOTIFICATIONS
from services.order.domain import Terms
from services.order.domain import domain as orders
from services.payment.domain import DOMAIN as PAYMENTS
from services.payment.effects import ASKING, effects
from services.payment.gateway import Gateway
from services.product.domain import PRODUCTS
from services.shared.contract.decisions import Decision, Domain
from services.shared.engine.life import Engine
from services.shared.engine.surroundings import Surroundings
from services.shared.settings import EngineSettings

# Longer than an engine takes to stop in good order: then it is killed, as Kubernetes does.
GRACE_SECONDS: Final = 30.0
# Short, so that some payments that are decided on later end with it.
PENDING: Final = timedelta(seconds=20)


def domains(*, auto_compensation: bool) -> dict[str, Domain]:
    return {
        "order": orders(Terms(payment_pending=PENDING)),
        "inventory": inventory(auto_compensation=auto_compensation),
        "payment": PAYMENTS,
        "notification": NOTIFICATIONS,
        "product": PRODUCTS,
        "fulfilment": SHIPPING,
    }


class Around(NamedTuple):
    """What all replicas share."""

    dice: Dice
    history: History
    broker: Broker
    databases: Mapping[str, Database]
    known: set[str]
    # The payment gateway, as one process reaches it.
    gateway: Callable[[Process], Gateway]
    settings: Mapping[str, EngineSettings]
    auto_compensation: bool
    # Whether money is held before it is taken.
    manual: bool


class Gone(Exception):
    """The process that was asked has died, or was not there: nobody knows what it did."""


class Replica:
    def __init__(self, around: Around, service: str, number: int) -> None:
        self._around, self.service = around, service
        self.name = f"{service}.{number}"
        self.place = around.dice.at(self.name)
        self.reaches_database = self.reaches_broker = True
        self._connections: list[Connection] = []
        self._process: Process | None = None
        self._engine: Engine | None = None
        # Why the engine itself has ended a process, which it should never need to.
        self.failures: list[str] = []

    # --- life -------------------------------------------------------------------------------------------

    def start(self) -> None:
        process = self._process = Process(self.name)
        self._connections = []
        self._around.history.note(self.name, "starts")
        process.context.copy().run(self._boot, process)

    def _boot(self, process: Process) -> None:
        around = self._around
        gateway = around.gateway(process)
        engine = self._engine = Engine(
            around.settings[self.service],
            domains(auto_compensation=around.auto_compensation)[self.service],
            indexes={},
            auto_compensation=around.auto_compensation,
            effects=effects(gateway, manual=around.manual) if self.service == "payment" else {},
            asking=ASKING if self.service == "payment" else None,
            surroundings=Surroundings(
                database=lambda _: self._database(process),
                redis=lambda _: cast("Redis", Hints(process, around.dice, around.known)),
                broker=lambda _url, name: self._connect(process, name),
                end=lambda: self._ended(process),
            ),
        )
        engine.start()

    @property
    def is_up(self) -> bool:
        return self._process is not None and self._process.alive

    def kill(self) -> None:
        """At once, at any step; started again after a while."""
        process = self._process
        if process is None or not process.alive:
            return
        self._around.history.note(self.name, "is dead")
        process.kill()
        for connection in self._connections:
            connection.cut()
        asyncio.get_running_loop().call_later(self.place.seconds(3.0), self.start, context=OUTSIDE)

    async def restart(self) -> None:
        """In good order, as a rollout does."""
        process, engine = self._process, self._engine
        if process is None or engine is None or not process.alive:
            return
        self._around.history.note(self.name, "is told to stop")
        stopping = process.spawn(engine.stop())
        await asyncio.wait({stopping}, timeout=GRACE_SECONDS)
        self.kill()

    def stall(self, *, stalled: bool) -> None:
        process = self._process
        if process is not None and process.alive:
            process.stall() if stalled else process.go_on()

    def cut_broker(self) -> None:
        for connection in self._connections:
            connection.cut()

    def _ended(self, process: Process) -> None:
        engine = self._engine
        if process.alive and engine is not None:
            self.failures.append(f"{self.name}: {engine.background.failure}")
            self.kill()

    # --- asked ------------------------------------------------------------------------------------------

    async def execute(self, command: object, id_: str) -> Decision:
        """As over HTTP. Raises Gone, and what the engine raises."""
        process, engine = self._process, self._engine
        if process is None or engine is None or not process.alive:
            raise Gone
        task = process.spawn(engine.execute(command, id_=id_))
        await asyncio.wait({task})
        if task.cancelled():
            raise Gone
        return task.result()

    # --- its servers ------------------------------------------------------------------------------------

    def _database(self, process: Process) -> AsyncMongoClient[Document]:
        around = self._around
        way = Way(process, around.dice, around.history, lambda: not self.reaches_database, self.kill)
        return cast("AsyncMongoClient[Document]", Client(way, around.databases[self.service]))

    async def _connect(self, process: Process, _name: str) -> AbstractConnection:
        process.check()
        await asyncio.sleep(self.place.latency())
        if not (self.reaches_broker and self._around.broker.up):
            await asyncio.sleep(CONNECT_SECONDS)
            raise ConnectionError("the broker cannot be reached")
        process.check()
        connection = Connection(process, self._around.broker, self._around.dice, self._around.history)
        self._connections.append(connection)
        return cast("AbstractConnection", connection)
