"""The whole shop on servers of its own, as its customers, its operators and other systems meet it."""

import asyncio
import json
import time
import uuid
from base64 import b64encode
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import aio_pika
import httpx
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage
from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase
from redis.asyncio import Redis

from dev.stack import Stack
from sagactl.access import Access
from sagactl.check import Expected, check
from tests.integration.room import eventually
from tests.integration.saga.traces import Traces

Json = dict[str, Any]
Stock = tuple[int, int, int]
PASSWORD: Final = "correct horse battery staple"
CRASHING: Final = Path(__file__).parent / "crashing"
REPOSITORY: Final = Path(__file__).parents[3]
# For a machine that is busy with other things; longer than a dead replica takes to be missed.
PATIENCE: Final = 60.0
# Access tokens last 15 minutes, and a run may be longer.
LOGIN_AGAIN_SECONDS: Final = 300.0
# The broker's statistics are of the last second, and quorum queues report to them once a second.
STATISTICS_LATE: Final = 2.2
ENGINES: Final = ("order", "product", "inventory", "payment", "notification")


@dataclass
class House:
    """What lasts for the whole run: the processes, and who has an account."""

    stack: Stack
    traces: Traces
    crashes: Path
    logins: dict[str, tuple[str, float]] = field(default_factory=dict)
    # Orders that were answered 201, and by which test they were placed.
    accepted: dict[str, str] = field(default_factory=dict)
    # Orders of other systems, and those that a test made contradictory: the checker is told of them.
    known: set[str] = field(default_factory=set)


class Shop:
    """One test's view of it, with clients on the test's own event loop."""

    def __init__(
        self, house: House, test: str, http: httpx.AsyncClient, mongodb: AsyncMongoClient[dict[str, Any]]
    ) -> None:
        self.test = test
        self.house, self.stack, self.http = house, house.stack, http
        self._mongodb = mongodb

    # --- who --------------------------------------------------------------------------------------------

    async def headers(self, who: str) -> dict[str, str]:
        """Of `admin`, or of a customer, who is registered when first heard of."""
        token, since = self.house.logins.get(who, ("", float("-inf")))
        if time.monotonic() - since > LOGIN_AGAIN_SECONDS:
            token = await self._login(who)
            self.house.logins[who] = (token, time.monotonic())
        return {"Authorization": f"Bearer {token}"}

    async def _login(self, who: str) -> str:
        account = {"email": email_of(who), "password": PASSWORD}
        if who == "admin":
            account = dict(self.stack.admin)
        elif who not in self.house.logins:
            answer = await self.http.post("/auth/register", json=account | {"name": who})
            assert answer.status_code in {201, 409}, answer.text  # 409: just registered, by a task beside us
        answer = await self.http.post("/auth/login", json=account)
        assert answer.status_code == 200, answer.text
        token: str = answer.json()["accessToken"]
        return token

    # --- buying -----------------------------------------------------------------------------------------

    async def product(self, stock: int = 10, price: str = "10.00", currency: str = "USD") -> str:
        """A product that inventory has heard of."""
        wanted = {"name": "Lamp", "price": price, "currency": currency, "initialStock": stock}
        answer = await self.http.post("/api/products", json=wanted, headers=await self.headers("admin"))
        assert answer.status_code == 201, answer.text
        product_id: str = answer.json()["productId"]

        async def known() -> bool:
            return (await self.http.get(f"/api/inventory/{product_id}")).is_success

        await eventually(known, PATIENCE)
        return product_id

    async def try_to_place(
        self, products: Mapping[str, int], *, who: str = "alice", card: str = "tok_success", **more: Any
    ) -> httpx.Response:
        wanted = {"ids": [*products], "quantities": [*products.values()], "paymentToken": card}
        answer = await self.http.post("/api/orders", json=wanted | more, headers=await self.headers(who))
        if answer.status_code == HTTPStatus.CREATED:
            self.house.accepted[answer.json()["orderId"]] = self.test
        return answer

    async def place(
        self, products: Mapping[str, int], *, who: str = "alice", card: str = "tok_success", **more: Any
    ) -> str:
        answer = await self.try_to_place(products, who=who, card=card, **more)
        assert answer.status_code == 201, answer.text
        order_id: str = answer.json()["orderId"]
        return order_id

    def foreign_order(self) -> str:
        """The id of an order that only another system knows."""
        order_id = new_id()
        self.house.known.add(order_id)
        return order_id

    async def cancel(self, order_id: str, *, who: str = "alice") -> httpx.Response:
        return await self.http.post(f"/api/orders/{order_id}/cancel", headers=await self.headers(who))

    async def compensate(
        self, order_id: str, *, status: str = "CONFIRMED", older_than: float = 0, at: str = "order"
    ) -> str:
        """As the operator does it, at one replica of the order service. Returns the outcome."""
        url = {replica.name: replica.url for replica in self.stack.replicas}[at]
        answer = await self.http.post(
            f"{url}/internal/orders/{order_id}/compensate",
            json={"reason": "SAGA_TIMEOUT", "status": status, "olderThan": older_than},
            headers=await self.headers("admin"),
        )
        assert answer.status_code == 200, answer.text
        outcome: str = answer.json()["outcome"]
        return outcome

    async def eventually(self, condition: Callable[[], Awaitable[bool]], within: float = PATIENCE) -> None:
        await eventually(condition, within)

    # --- looking ----------------------------------------------------------------------------------------

    async def order(self, order_id: str) -> Json:
        answer = await self.http.get(f"/api/orders/{order_id}", headers=await self.headers("admin"))
        assert answer.status_code == 200, answer.text
        order: Json = answer.json()
        return order

    async def becomes(
        self, order_id: str, condition: Callable[[Json], bool], within: float = PATIENCE
    ) -> Json:
        """The order, once it is so."""
        order: Json = {}

        async def holds() -> bool:
            nonlocal order
            order = await self.order(order_id)
            return condition(order)

        try:
            await eventually(holds, within)
        except TimeoutError:
            raise AssertionError(f"not within {within:.0f} s: {order}") from None
        return order

    async def settles(self, order_id: str, status: str, within: float = PATIENCE) -> Json:
        order = await self.becomes(order_id, lambda order: bool(order["settled"]), within)
        assert order["status"] == status, order
        return order

    async def is_at(self, order_id: str, status: str) -> Json:
        return await self.becomes(order_id, lambda order: bool(order["status"] == status))

    async def stock(self, product_id: str) -> Stock:
        """Available, reserved, sold."""
        answer = await self.http.get(f"/api/inventory/{product_id}")
        assert answer.status_code == 200, answer.text
        body = answer.json()
        return body["available"], body["reserved"], body["sold"]

    async def stock_becomes(self, product_id: str, wanted: Stock, within: float = PATIENCE) -> None:
        async def holds() -> bool:
            return await self.stock(product_id) == wanted

        try:
            await eventually(holds, within)
        except TimeoutError:
            found = await self.stock(product_id)
            raise AssertionError(f"stock (available, reserved, sold) is {found}, not {wanted}") from None

    async def events_of(self, order_id: str) -> list[str]:
        """What the order's timeline shows."""
        url = f"/api/orders/{order_id}/timeline"
        answer = await self.http.get(url, headers=await self.headers("admin"))
        return [entry["event"] for entry in answer.json()["items"]]

    def database(self, service: str) -> AsyncDatabase[dict[str, Any]]:
        return self._mongodb[service]

    async def ledger(self, order_id: str) -> Counter[str]:
        """What the payment gateway did for the order, by its own account."""
        entries = self.database("payment")["gateway_ledger"].find({"orderId": order_id})
        return Counter([entry["status"] async for entry in entries])

    async def metric(self, service: str, name: str, **labels: str) -> float:
        """Summed over the replicas of a service, and over the labels that are not given."""
        total = 0.0
        for replica in self.stack.replicas:
            if replica.service == service and replica.name in self.stack.processes:
                text = (await self.http.get(f"{replica.url}/metrics")).text
                total += sum(_samples(text, name, labels))
        return total

    # --- the broker, as other systems and operators use it ----------------------------------------------

    def broker(self) -> AbstractAsyncContextManager[AbstractChannel]:
        return _channel(self.stack.rabbitmq.url)

    async def publish_older(self, queue: str, *bodies: bytes) -> None:
        """Straight to a queue, as an existing publisher does: without a message id."""
        for content in bodies:
            message = {
                "routing_key": queue,
                "properties": {"delivery_mode": 2},
                "payload": b64encode(content).decode(),
                "payload_encoding": "base64",
            }
            # aio-pika gives every message an id.
            assert await self.management("POST", "exchanges/%2F/amq.default/publish", message) == {
                "routed": True
            }

    async def publish(
        self,
        queue: str,
        *bodies: bytes,
        message_id: str | None = None,
        headers: Mapping[str, Any] | None = None,
    ) -> None:
        """Straight to a queue, with this message id, or each with one of its own."""
        async with self.broker() as channel:
            for content in bodies:
                message = aio_pika.Message(
                    content, message_id=message_id, headers=dict(headers or {}), delivery_mode=2
                )
                await channel.default_exchange.publish(message, queue, mandatory=True)

    async def take(self, queue: str, count: int = 1) -> list[AbstractIncomingMessage]:
        """So many messages out of a queue that nobody consumes, once they are there."""
        taken: list[AbstractIncomingMessage] = []
        async with self.broker() as channel:
            found = await channel.get_queue(queue)

            async def enough() -> bool:
                message = await found.get(no_ack=True, fail=False)
                if message is not None:
                    taken.append(message)
                return len(taken) >= count

            await eventually(enough, PATIENCE)
        return taken

    async def dead_letter(self, queue: str, about: str) -> AbstractIncomingMessage:
        """The dead letter whose body holds `about`, taken from the queue; others are kept."""
        async with self.broker() as channel:
            dead = await channel.get_queue(f"{queue}.dlq")
            found: list[AbstractIncomingMessage] = []

            async def there() -> bool:
                others: list[AbstractIncomingMessage] = []
                while (message := await dead.get(fail=False)) is not None:
                    (found if about.encode() in message.body else others).append(message)
                for other in others:
                    await other.nack()
                return bool(found)

            await eventually(there, PATIENCE)
            for message in found:
                await message.ack()
        assert len(found) == 1, [(message.type, message.message_id) for message in found]
        return found[0]

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[list[AbstractIncomingMessage]]:
        """Everything that is published meanwhile."""
        heard: list[AbstractIncomingMessage] = []

        async def hear(message: AbstractIncomingMessage) -> None:
            heard.append(message)

        async with self.broker() as channel:
            queue = await channel.declare_queue(exclusive=True)
            await queue.bind("saga.events", "#")
            await queue.consume(hear, no_ack=True)
            yield heard

    async def clear(self, queue: str) -> int:
        """Empties a queue and tells how much was in it."""
        async with self.broker() as channel:
            return (await (await channel.get_queue(queue)).purge()).message_count or 0

    async def drained(self, within: float = PATIENCE) -> None:
        """Returns once nothing waits or is under way, for longer than statistics are late."""
        since: list[float] = []

        async def for_a_while() -> bool:
            since[:] = (since or [time.monotonic()]) if await self._is_idle() else []
            return bool(since) and time.monotonic() - since[0] > STATISTICS_LATE

        await eventually(for_a_while, within)

    async def _is_idle(self) -> bool:
        queues = await self.management("GET", "queues")
        if any(queue.get("messages") for queue in queues if not queue["name"].endswith(".dlq")):
            return False
        outboxes = [self.database(service)["outbox"] for service in ENGINES]
        counts = await asyncio.gather(*(outbox.count_documents({}) for outbox in outboxes))
        return not any(counts)

    async def flush_redis(self) -> None:
        async with Redis.from_url(self.stack.redis.url) as redis:
            await redis.flushall()

    async def remember_in_redis(self, key: str) -> None:
        async with Redis.from_url(self.stack.redis.url) as redis:
            await redis.set(key, b"1")

    async def management(self, method: str, path: str, content: Json | None = None) -> Any:
        url = f"{self.stack.rabbitmq.management_url}/api/{path}"
        answer = await self.http.request(method, url, json=content)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    # --- breaking it ------------------------------------------------------------------------------------

    def replicas(self, service: str) -> list[str]:
        return [replica.name for replica in self.stack.replicas if replica.service == service]

    def will_die(self, service: str, point: str) -> None:
        """The first replica that gets there (see crashing/) kills itself."""
        (self.house.crashes / f"{service} {point}").touch()

    async def death_of(self, service: str) -> str:
        """The name of the replica that died."""
        dead: list[str] = []

        async def one_is_gone() -> bool:
            dead.extend(name for name in self.replicas(service) if name not in self.stack.processes)
            return bool(dead)

        await eventually(one_is_gone, PATIENCE)
        return dead[0]

    async def holds(self) -> None:
        """Everything that any test did so far, held against the invariants."""
        checker = self.stack.checker
        access = Access(checker["mongodbUrl"], checker["amqpUrl"], checker["managementUrl"])
        expected = Expected(accepted=self.house.accepted, known=self.house.known)
        report = await check(access, expected, wait_seconds=PATIENCE)
        broken = [
            f"{found.invariant}: {found.subject} of {self.house.accepted.get(found.subject)}: {found.what}"
            for found in report.findings
        ]
        # The next test is not to be blamed for it.
        self.house.known.update(found.subject for found in report.findings)
        assert not broken, "\n".join(broken)

    async def heal(self) -> None:
        """Whatever a test left dead or frozen works again for the next."""
        for armed in self.house.crashes.iterdir():
            armed.unlink()
        names = ["mongodb", "rabbitmq", "redis", *(replica.name for replica in self.stack.replicas)]
        for name in names:
            if name in self.stack.processes:
                self.stack.resume(name)
            else:
                await self.stack.start(name)

    @asynccontextmanager
    async def frozen(self, service: str) -> AsyncIterator[None]:
        """All its replicas stand still meanwhile."""
        for name in self.replicas(service):
            self.stack.pause(name)
        try:
            yield
        finally:
            for name in self.replicas(service):
                self.stack.resume(name)

    @asynccontextmanager
    async def away(self, service: str) -> AsyncIterator[None]:
        """All its replicas are killed, and started again at the end."""
        for name in self.replicas(service):
            await self.stack.kill(name)
        try:
            yield
        finally:
            await asyncio.gather(*(self.stack.start(name) for name in self.replicas(service)))

    @asynccontextmanager
    async def configured(self, service: str, **settings: str) -> AsyncIterator[None]:
        """All its replicas run with these settings meanwhile, which are false otherwise."""
        before = dict.fromkeys(settings, "false")
        await asyncio.gather(*(self.stack.restart(name, settings) for name in self.replicas(service)))
        try:
            yield
        finally:
            await asyncio.gather(*(self.stack.restart(name, before) for name in self.replicas(service)))


def email_of(who: str) -> str:
    return f"{who}@shop.example"


def body(type_: str, **data: Any) -> bytes:
    """A message in the envelope that all but one queue want."""
    return json.dumps({"type": type_, "data": data}).encode()


def ids(messages: Sequence[AbstractIncomingMessage], type_: str, about: str) -> list[str]:
    """The message ids of what was heard of a type about an order."""
    return [
        str(message.message_id)
        for message in messages
        if message.type == type_ and message.correlation_id == about
    ]


def new_id() -> str:
    return f"order_{uuid.uuid4().hex[:12]}"


@asynccontextmanager
async def visiting(house: House, test: str) -> AsyncIterator[Shop]:
    mongodb = AsyncMongoClient[dict[str, Any]](house.stack.mongodb.url, tz_aware=True)
    http = httpx.AsyncClient(base_url=house.stack.gateway, timeout=60)
    async with mongodb, http:
        yield Shop(house, test, http, mongodb)


@asynccontextmanager
async def _channel(url: str) -> AsyncIterator[AbstractChannel]:
    async with await aio_pika.connect(url) as connection:
        yield await connection.channel()


def _samples(text: str, name: str, labels: Mapping[str, str]) -> list[float]:
    wanted = [f'{label}="{value}"' for label, value in labels.items()]
    return [
        float(line.rpartition(" ")[2])
        for line in text.splitlines()
        if line.partition("{")[0].partition(" ")[0] == name and all(each in line for each in wanted)
    ]
