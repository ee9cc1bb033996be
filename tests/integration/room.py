"""A test's own databases, vhost and Redis keys on servers that all tests share."""

import asyncio
import uuid
from collections import deque
from collections.abc import AsyncIterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import aio_pika
import aiohttp
import httpx
from fastapi import FastAPI
from pymongo import AsyncMongoClient, MongoClient
from pymongo.asynchronous.database import AsyncDatabase
from redis.asyncio import Redis

from dev.stack import Stack
from sagactl.polling import until
from services.shared.contract.events import EXCHANGE

# Seconds, for what comes by itself. For a machine that is busy with other things; longer than a dead replica
# takes to be missed.
PATIENCE: Final = 60.0
# Rooms are cleared while the next test runs: of a short test that would be half of its time.
_CLEARER: Final = ThreadPoolExecutor(1, "clearing rooms")
_BEING_CLEARED: Final = deque[Future[None]]()
# No more than these wait for it: what is there weighs upon the servers.
UNCLEARED: Final = 4


@dataclass(frozen=True)
class Room:
    name: str
    mongodb_url: str
    amqp_url: str
    redis_url: str
    mongodb: AsyncMongoClient[dict[str, Any]]
    redis: Redis
    # Base64: what auth seals secrets in its database with.
    secrets_key: str

    def database(self, service: str) -> AsyncDatabase[dict[str, Any]]:
        return self.mongodb[self.database_name(service)]

    def database_name(self, service: str) -> str:
        return f"{self.name}-{service}"

    def settings(self, service: str) -> dict[str, Any]:
        """For a service's settings class."""
        return {
            "port": 3000,
            "mongodb_url": self.mongodb_url,
            "mongodb_database": self.database_name(service),
            "amqp_url": self.amqp_url,
            "redis_url": self.redis_url,
            **({"secrets_key": self.secrets_key} if service == "auth" else {}),
        }

    @asynccontextmanager
    async def broker(self) -> AsyncIterator[aio_pika.abc.AbstractChannel]:
        async with await aio_pika.connect(self.amqp_url) as connection:
            yield await connection.channel()

    async def publish(self, exchange: str, key: str, body: bytes, *, message_id: str | None = None) -> None:
        """Return when the broker has confirmed it."""
        async with self.broker() as channel:
            message = aio_pika.Message(body, message_id=message_id)
            await (await channel.get_exchange(exchange)).publish(message, key, mandatory=True)

    async def drained(self, queue: str) -> bool:
        """Whether nothing waits in `queue`. What is being handled does not show: see the checker for that."""
        async with self.broker() as channel:
            return (await channel.declare_queue(queue, passive=True)).declaration_result.message_count == 0


@asynccontextmanager
async def make_room(servers: Stack, *, broker: bool = True) -> AsyncIterator[Room]:
    """`broker`: whether its vhost exists, which takes as long as all the rest."""
    name = f"test-{uuid.uuid4().hex[:12]}"
    while len(_BEING_CLEARED) >= UNCLEARED:
        await asyncio.wrap_future(_BEING_CLEARED.popleft())
    redis = Redis.from_url(servers.redis.url)
    await redis.flushdb()
    amqp_url = urlsplit(servers.rabbitmq.url)._replace(path=f"/{name}").geturl()
    key = servers.credentials.secrets_key
    if broker:
        await _make_vhost(servers.rabbitmq.management_url, name)
    async with AsyncMongoClient[dict[str, Any]](servers.mongodb.url, tz_aware=True) as mongodb:
        yield Room(name, servers.mongodb.url, amqp_url, servers.redis.url, mongodb, redis, key)
    await redis.aclose()
    vhost = _vhost_url(servers.rabbitmq.management_url, name) if broker else None
    _BEING_CLEARED.append(_CLEARER.submit(_clear, name, servers.mongodb.url, vhost))


def all_cleared() -> None:
    """Waits until no room is left. Raises what went wrong with one."""
    while _BEING_CLEARED:
        _BEING_CLEARED.popleft().result()


def _clear(name: str, mongodb_url: str, vhost: str | None) -> None:
    with MongoClient[dict[str, Any]](mongodb_url) as mongodb:
        for database in mongodb.list_database_names():
            if database.startswith(name):
                mongodb.drop_database(database)
    if vhost is not None:
        httpx.delete(vhost, timeout=PATIENCE).raise_for_status()


def _vhost_url(management_url: str, name: str) -> str:
    return f"{management_url}/api/vhosts/{name}"


async def _make_vhost(management_url: str, name: str) -> None:
    exchange = f"{management_url}/api/exchanges/{name}/{EXCHANGE}"
    async with aiohttp.ClientSession() as http:
        for url, body in (
            (_vhost_url(management_url, name), {}),
            (exchange, {"type": "topic", "durable": True}),
        ):
            async with http.put(url, json=body) as answer:
                answer.raise_for_status()


@asynccontextmanager
async def running(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """The service in this process, ready, and a client that talks to it."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://service") as client,
    ):

        async def ready() -> bool:
            return (await client.get("/readyz")).is_success

        await until(ready, within=PATIENCE, what="the service to be ready")
        yield client
