"""A stack of one scenario's own, with customers and goods, and the ways to hurt it and to look at it."""

import asyncio
import random
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple, TypeVar
from urllib.parse import urlsplit

import aiohttp
from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase

from dev.faults import Proxy, detours
from dev.faults.clocks import Clocks
from dev.faults.crashes import Crashes
from dev.faults.disks import Disks
from dev.servers import CommandFailedError, Given, MongoDB
from dev.services import REPOSITORY, Replica
from dev.stack import Stack
from dev.survive.attempts import PLAYED, Till
from dev.survive.traffic import Traffic
from dev.survive.verdict import Failure
from sagactl import polling
from sagactl.shop import Client

CUSTOMERS: Final = 4
PRODUCTS: Final = 8
PLENTY: Final = 100_000_000
POLL_SECONDS: Final = 0.2
LAST_WORDS: Final = 300
Found = TypeVar("Found")
SETTINGS: Final = {"PAYMENT_SUCCESS_RATE": "1", "RATE_LIMIT_ENABLED": "false"}
# Where Redis is hurt: it is asked at each request, and nobody is refused for coming often.
COUNTED: Final = {
    "RATE_LIMIT_ENABLED": "true",
    "RATE_LIMIT_REQUESTS": "1000000",
    "RATE_LIMIT_ADDRESS_REQUESTS": "1000000",
    "RATE_LIMIT_ADDRESS_GUESSES": "1000000",
}
# By which a service is told where a server is.
VARIABLES: Final = {"rabbitmq": "AMQP_URL", "redis": "REDIS_URL"}


class Equipment(NamedTuple):
    """What a site has that others have not."""

    # Services whose clocks can step, by `clocks`.
    clocks: Sequence[str] = ()
    # Members of the database, or the broker, whose disks can get full, by `disks`: with so many bytes.
    disks: Mapping[str, int] = MappingProxyType({})
    # Mail is sent, and ends there.
    mailbox: bool = False
    # The directory whose code the services run.
    tree: Path = REPOSITORY


USUAL: Final = Equipment()


@dataclass
class Site:
    """What a scenario works with."""

    stack: Stack
    session: aiohttp.ClientSession
    mongodb: AsyncMongoClient[dict[str, Any]]
    traffic: Traffic
    admin: Client
    products: Sequence[str]
    # Seeded: pauses and choices are the same in each run with the same seed.
    chance: random.Random
    # Orders a second that customers place while all is well.
    rate: float
    short: bool
    say: Callable[[str], None]
    crashes: Crashes
    clocks: Clocks
    disks: Disks
    closing: AsyncExitStack
    proxies: dict[str, Proxy] = field(default_factory=dict)
    # Dead letters about nothing of ours are expected then.
    threw_rubbish: bool = False
    # What the scenario itself saw go wrong.
    remarks: list[Failure] = field(default_factory=list)

    async def log_in(self, patience: float = 0) -> None:
        """Everybody anew: before the tokens of `opened` end, a quarter of an hour later.

        `patience`: the seconds for which a shop may be too busy for that, and from then on for what the
        administrator asks.
        """
        visitor = Client(self.session, self.stack.gateway, patience=patience)
        self.admin = await visitor.log_in(self.stack.admin["email"], self.stack.admin["password"])
        self.traffic.tokens = await _of_new_customers(visitor)

    def expect(self, *, holds: bool, otherwise: str, ids: Sequence[str] = ()) -> None:
        if not holds:
            self.remarks.append(Failure(otherwise, ids))

    def length(self, short: float, usual: float) -> float:
        """Seconds, or how many."""
        return short if self.short else usual

    def last_words(self, name: str) -> str:
        """The last line of a process' log."""
        log = self.stack.processes.log(name).read_text(errors="replace")
        return log.rstrip().rpartition("\n")[2][:LAST_WORDS]

    def replicas(self, service: str) -> list[str]:
        return [replica.name for replica in self.stack.replicas if replica.service == service]

    def database(self, service: str) -> AsyncDatabase[dict[str, Any]]:
        return self.mongodb[service]

    async def until(
        self,
        look: Callable[[], Awaitable[Found]],
        good: Callable[[Found], object] = bool,
        *,
        within: float,
        what: str,
    ) -> bool:
        """Whether it came in time (seconds); a remark says if not, and what was seen instead."""
        try:
            await polling.until(look, good, within=within, what=what, every=POLL_SECONDS)
        except polling.NotInTimeError as late:
            self.remarks.append(Failure(str(late)))
            return False
        return True

    def amqp_url(self, service: str) -> str:
        """As the service itself logs in."""
        return self.stack.rabbitmq.url_of(service, self.stack.credentials.users[service])

    async def proxied(self, name: str, url: str) -> str:
        """The same URL, by way of a proxy that `proxies` has under `name`."""
        parts = urlsplit(url)
        proxy = Proxy(parts.hostname or "", parts.port or 0)
        self.proxies[name] = await self.closing.enter_async_context(proxy)
        return _at(proxy.port, url)

    async def all_by_proxy(self, *servers: str) -> None:
        """Every service reaches `mongodb`, `rabbitmq` or `redis` by proxies, called as the programs are."""
        urls = {"rabbitmq": self.stack.rabbitmq, "redis": self.stack.redis}
        by_url = [name for name in servers if name in urls]
        for name in by_url:
            await self.proxied(name, urls[name].url)
        around = await self._detours() if "mongodb" in servers else {}

        async def led_there(replica: Replica) -> None:
            password = self.stack.credentials.users.get(replica.service, "")
            led = {
                VARIABLES[name]: _at(self.proxies[name].port, urls[name].url_of(replica.service, password))
                for name in by_url
            }
            await self.stack.restart(replica.name, {**led, **around})

        await asyncio.gather(*map(led_there, self.stack.replicas))

    async def _detours(self) -> Mapping[str, str]:
        """What a service is told of the proxies before the members of the database's set."""
        led: dict[int, int] = {}
        for name, host in self.own_database.members.items():
            await self.proxied(name, f"mongodb://{host}")
            led[int(host.rpartition(":")[2])] = self.proxies[name].port
        return detours.environment(led)

    async def primary(self) -> str:
        """The name of the process that is the database's primary. Raises CommandFailedError."""
        members = self.own_database.members
        address = (await self.database("admin").command("hello"))["primary"]
        return next(name for name, host in members.items() if host == address)

    @property
    def own_database(self) -> MongoDB:
        """The stack's own, whose members are known. Raises CommandFailedError where the user brought one."""
        if isinstance(self.stack.mongodb, Given):
            raise CommandFailedError("the members are known of a database of the stack's own")
        return self.stack.mongodb

    # --- the broker, as its operators use it --------------------------------------------------------------

    async def management(self, method: str, path: str) -> Any:  # noqa: ANN401  # JSON
        url = f"{self.stack.rabbitmq.management_url}/api/{path}"
        async with self.session.request(method, url) as answer:
            answer.raise_for_status()
            return await answer.json() if answer.content_length else None

    async def queue_length(self, queue: str) -> int:
        """What waits in it and what is taken and not acknowledged, as of the last second."""
        return int((await self.management("GET", f"queues/%2F/{queue}")).get("messages", 0))

    async def close_connections(self) -> int:
        """Closes all connections of clients, as an operator does; returns how many there were."""
        connections = await self.management("GET", "connections")
        closing = [self._close_connection(connection["name"]) for connection in connections]
        return sum(await asyncio.gather(*closing))

    async def _close_connection(self, name: str) -> bool:
        url = f"{self.stack.rabbitmq.management_url}/api/connections/{name}"
        async with self.session.delete(url) as answer:
            return answer.ok  # one that has gone meanwhile is not found

    async def rabbitmqctl(self, *arguments: str) -> str:
        """Raises CommandFailedError."""
        if isinstance(self.stack.rabbitmq, Given):
            raise CommandFailedError("rabbitmqctl is for a broker of the stack's own")
        return await self.stack.rabbitmq.control(*arguments)


def _at(port: int, url: str) -> str:
    """The same URL, at a port of this machine."""
    parts = urlsplit(url)
    login = parts.netloc.rpartition("@")[0]
    return parts._replace(netloc=f"{login}@127.0.0.1:{port}").geturl()


async def _of_new_customers(visitor: Client) -> Sequence[str]:
    return [(await visitor.register(f"Customer {number}")).token for number in range(CUSTOMERS)]


@asynccontextmanager
async def opened(  # a site has parts
    directory: Path,
    settings: Mapping[str, str],
    *,
    products: int,
    rate: float,
    seed: str,
    short: bool,
    say: Callable[[str], None],
    till: Till = PLAYED,
    equipment: Equipment = USUAL,
) -> AsyncIterator[Site]:
    """The site, ready for its first order. What an earlier run left in `directory` is removed before.

    `till`: how customers pay. Raises NotThereError where no clock can step.
    """
    await Stack(directory).down()  # a run that was killed left it running
    shutil.rmtree(directory)
    crashes = Crashes(directory / "crashes")
    crashes.directory.mkdir(parents=True)
    clocks = Clocks(directory / "clocks")
    clocks.directory.mkdir()
    disks = Disks(directory, equipment.disks)
    disks.mount()
    async with AsyncExitStack() as closing:
        stack = Stack(
            directory,
            settings={**SETTINGS, **crashes.environment, **settings},
            environments={service: clocks.environment(service) for service in equipment.clocks},
            mailbox=equipment.mailbox,
            tree=equipment.tree,
        )
        await closing.enter_async_context(stack)
        session = await closing.enter_async_context(
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        )
        mongodb = AsyncMongoClient[dict[str, Any]](stack.mongodb.url, tz_aware=True)
        closing.push_async_callback(mongodb.close)
        visitor = Client(session, stack.gateway)
        admin = await visitor.log_in(stack.admin["email"], stack.admin["password"])
        goods = await asyncio.gather(
            *(admin.add_product(PLENTY, till.price, "USD", f"Product {number}") for number in range(products))
        )
        tokens = await _of_new_customers(visitor)
        chance = random.Random(seed)  # noqa: S311  # repeatable, not secret
        traffic = Traffic(session, [stack.gateway], tokens, goods, chance, till)
        yield Site(
            stack,
            session,
            mongodb,
            traffic,
            admin,
            goods,
            chance,
            rate,
            short,
            say,
            crashes,
            clocks,
            disks,
            closing,
        )
