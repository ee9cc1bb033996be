"""On the broker each service does what the contract has it do, and is refused everything else."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Final

import aio_pika
import pytest
from aio_pika.abc import AbstractChannel, AbstractConnection
from aiormq.exceptions import ChannelAccessRefused

from sagactl.provision.accounts import provision_rabbitmq
from sagactl.provision.broker_rights import BROKER_USERS
from services.shared.contract import topology
from services.shared.contract.events import CONSUMES, ENGINES, EXCHANGE, PUBLISHES
from services.shared.database.clock import Clock
from services.shared.engine.declaring import declare
from services.shared.engine.links import connect_broker
from services.shared.engine.publishing import Publishing
from tests.integration.saga.shop import Shop

TYPES: Final = {event.type for events in PUBLISHES.values() for event in events}
Attempt = Callable[..., Coroutine[Any, Any, None]]


def published(service: str) -> set[str]:
    return {event.type for event in PUBLISHES.get(service, ())}


def consumed(service: str) -> set[str]:
    return {event.type for events in CONSUMES.get(service, {}).values() for event in events}


def queues_of_others(service: str) -> list[str]:
    others = [queue for owner, queues in CONSUMES.items() if owner != service for queue in queues]
    return [name for queue in others for name in topology.all_queues(queue)]


@asynccontextmanager
async def logged_in(shop: Shop, user: str, vhost: str = "") -> AsyncIterator[AbstractConnection]:
    url = shop.stack.rabbitmq.url_of(user, shop.stack.credentials.users[user]) + vhost
    async with await aio_pika.connect(url) as connection:
        yield connection


async def get(channel: AbstractChannel, queue: str) -> None:
    await (await channel.get_queue(queue, ensure=False)).get(fail=False)


async def purge(channel: AbstractChannel, queue: str) -> None:
    await (await channel.get_queue(queue, ensure=False)).purge()


async def delete(channel: AbstractChannel, queue: str) -> None:
    await channel.queue_delete(queue)


async def delete_exchange(channel: AbstractChannel, exchange: str) -> None:
    await channel.exchange_delete(exchange)


async def declare_exchange(channel: AbstractChannel, exchange: str) -> None:
    await channel.declare_exchange(exchange, aio_pika.ExchangeType.TOPIC, durable=True)


async def bind(channel: AbstractChannel, queue: str, key: str) -> None:
    await (await channel.get_queue(queue, ensure=False)).bind(EXCHANGE, key)


async def publish(channel: AbstractChannel, exchange: str, key: str) -> None:
    await (await channel.get_exchange(exchange, ensure=False)).publish(aio_pika.Message(b"{}"), key)


async def publish_to_queue(channel: AbstractChannel, queue: str) -> None:
    await channel.default_exchange.publish(aio_pika.Message(b"{}"), queue)


async def refused(connection: AbstractConnection, attempt: Attempt, *names: str) -> None:
    """On a channel of its own: the broker closes it."""
    channel = await connection.channel()
    try:
        await attempt(channel, *names)
    except ChannelAccessRefused:
        return
    raise AssertionError(f"allowed: {attempt.__name__} {', '.join(names)}")


@pytest.mark.parametrize("service", ENGINES)
async def test_a_service_reaches_no_queue_but_its_own(shop: Shop, service: str) -> None:
    own_dead = [topology.dead_letter_queue(queue) for queue in CONSUMES.get(service, {})]
    async with logged_in(shop, service) as connection:
        for queue in [*queues_of_others(service), *own_dead]:
            await refused(connection, get, queue)
            await refused(connection, purge, queue)
        for queue in queues_of_others(service):
            await refused(connection, delete, queue)


@pytest.mark.parametrize("service", ENGINES)
async def test_a_service_makes_and_deletes_no_exchange_but_its_own(shop: Shop, service: str) -> None:
    others = [topology.retry_exchange(other) for other in CONSUMES if other != service]
    async with logged_in(shop, service) as connection:
        for name in (EXCHANGE, "made-up", *others):
            await refused(connection, delete_exchange, name)
            await refused(connection, declare_exchange, name)
    assert {EXCHANGE, *others} <= {each["name"] for each in await shop.management("GET", "exchanges/%2F")}


@pytest.mark.parametrize("service", ENGINES)
async def test_a_service_publishes_no_events_but_its_own(shop: Shop, service: str) -> None:
    async with logged_in(shop, service) as connection:
        for type_ in sorted(TYPES - published(service)):
            await refused(connection, publish, EXCHANGE, type_)
        for other in CONSUMES.keys() - {service}:
            await refused(connection, publish, topology.retry_exchange(other), next(iter(CONSUMES[other])))
        for queue in queues_of_others(service):
            await refused(connection, publish_to_queue, queue)


@pytest.mark.parametrize("service", ENGINES)
async def test_a_service_binds_no_queue_to_what_it_does_not_consume(shop: Shop, service: str) -> None:
    async with logged_in(shop, service) as connection:
        for queue in CONSUMES.get(service, {}):
            for key in ["#", "*", *sorted(TYPES - consumed(service))]:
                await refused(connection, bind, queue, key)
        for queue in queues_of_others(service):
            for key in sorted(consumed(service)) or ["#"]:
                await refused(connection, bind, queue, key)


async def test_every_service_makes_all_that_it_needs_on_a_broker_that_has_its_user_only(shop: Shop) -> None:
    """And publishes, consumes, and hands on by its own exchange."""
    vhost = f"rights-{uuid.uuid4().hex[:8]}"
    users = {user: shop.stack.credentials.users[user] for user in BROKER_USERS}
    await provision_rabbitmq(shop.stack.rabbitmq.management_url, users, vhost)
    try:
        for service in ENGINES:
            async with logged_in(shop, service, vhost) as connection:
                channel = await connection.channel()
                for queue in CONSUMES.get(service, {}):
                    for name in topology.all_queues(queue):
                        await channel.queue_delete(name)
                for optional in (True, False, True) if service in CONSUMES else ():
                    queues = topology.subscriptions(service, auto_compensation=optional)
                    await declare(await channel.get_underlay_channel(), service, queues)
        for service in ENGINES:
            async with logged_in(shop, service, vhost) as connection:
                channel = await connection.channel()
                for type_ in sorted(published(service)):
                    await publish(channel, EXCHANGE, type_)
                for queue in CONSUMES.get(service, {}):
                    for name in topology.all_queues(queue):
                        await publish(channel, topology.retry_exchange(service), name)
                    got = await (await channel.get_queue(queue, ensure=False)).get(fail=False, timeout=10)
                    assert got is not None
                    await got.ack()
    finally:
        await shop.management("DELETE", f"vhosts/{vhost}")


async def test_an_exchange_that_nobody_made_is_made_by_who_comes_first_and_may(shop: Shop) -> None:
    """On a broker of somebody's own, whose user may do everything."""
    vhost = f"rights-{uuid.uuid4().hex[:8]}"
    await shop.management("PUT", f"vhosts/{vhost}", {})
    try:
        url = shop.stack.rabbitmq.url + vhost
        link = Publishing(url, "order", Clock(shop.mongodb), connect=connect_broker, on_declared=_nothing)
        running = asyncio.create_task(link.run())
        try:
            await asyncio.wait_for(link.wait_connected(), 20)
        finally:
            running.cancel()
            await asyncio.wait({running})
            await link.close()
        exchanges = await shop.management("GET", f"exchanges/{vhost}")
        [made] = [each for each in exchanges if each["name"] == EXCHANGE]
        assert (made["type"], made["durable"]) == ("topic", True)
    finally:
        await shop.management("DELETE", f"vhosts/{vhost}")


async def _nothing() -> None: ...
