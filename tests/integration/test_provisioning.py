"""What provisioning leaves on a broker: a place for every event, before there is anybody to consume it."""

from urllib.parse import urlsplit

import aio_pika
import pytest

from dev.stack import Stack
from sagactl.polling import until
from sagactl.provision.accounts import provision_rabbitmq
from sagactl.provision.broker_rights import BROKER_USERS
from sagactl.provision.queues import TooFewNodesError
from services.shared.contract import topology
from services.shared.contract.events import (
    AUTO_COMPENSATION,
    CONSUMES,
    EXCHANGE,
    FULFILMENT,
    INVENTORY_EVENTS,
    NOTIFICATIONS,
    OPTIONAL,
    PUBLISHES,
    WHERE_IT_RUNS,
    ShipmentApproved,
)
from services.shared.engine.declaring import declare
from tests.integration.room import PATIENCE, Room


async def provision(servers: Stack, room: Room) -> None:
    """As a release does."""
    passwords = servers.credentials.of(BROKER_USERS)
    await provision_rabbitmq(servers.rabbitmq.management_url, passwords, room.name)


async def publish(servers: Stack, room: Room, publisher: str, *types: str) -> None:
    """With the rights of the publisher alone. Fails for an event that goes nowhere."""
    url = servers.rabbitmq.url_of(publisher, servers.credentials.users[publisher])
    async with await aio_pika.connect(urlsplit(url)._replace(path=f"/{room.name}").geturl()) as connection:
        channel = await connection.channel()
        exchange = await channel.get_exchange(EXCHANGE)
        for type_ in types:
            await exchange.publish(aio_pika.Message(b"{}"), type_, mandatory=True)


async def waiting(room: Room) -> dict[str, int]:
    """How many messages are on each queue of the contract."""
    async with room.broker() as channel:
        found = {}
        for owned in CONSUMES.values():
            for queue in owned:
                declared = await channel.declare_queue(queue, passive=True)
                found[queue] = declared.declaration_result.message_count or 0
        return found


async def test_an_event_that_comes_before_any_consumer_waits_for_each_of_them(
    servers: Stack, room: Room
) -> None:
    await provision(servers, room)
    for publisher, events in PUBLISHES.items():
        await publish(servers, room, publisher, *(event.type for event in events))
    expected = {
        queue: len(events)
        for service in CONSUMES
        for queue, events in topology.subscriptions(service, auto_compensation=False).items()
    }
    await until(
        lambda: waiting(room),
        lambda found: found == expected,
        within=PATIENCE,
        what="each event on its queues",
    )


async def test_queues_wait_for_all_nodes_that_are_to_have_them(servers: Stack, room: Room) -> None:
    with pytest.raises(TooFewNodesError, match="1 of 3 nodes"):
        await provision_rabbitmq(servers.rabbitmq.management_url, {}, room.name, nodes=3)
    await provision_rabbitmq(servers.rabbitmq.management_url, {}, room.name)
    await provision_rabbitmq(servers.rabbitmq.management_url, {}, room.name, nodes=3)


async def test_what_a_service_declares_is_the_same_and_stays_when_it_is_provisioned_again(
    servers: Stack, room: Room
) -> None:
    await provision(servers, room)
    async with room.broker() as channel:
        for service in CONSUMES:
            queues = topology.subscriptions(service, auto_compensation=True)
            await declare(await channel.get_underlay_channel(), service, queues)
    await provision(servers, room)
    await publish(servers, room, "payment", AUTO_COMPENSATION.type)

    async def bound() -> bool:
        return (await waiting(room))[INVENTORY_EVENTS] == 1

    await until(bound, within=PATIENCE, what="the event of the setting's binding")


async def test_a_service_that_a_shop_does_without_is_sent_nothing(servers: Stack, room: Room) -> None:
    """Turned on, off and on again: what it has asked is answered all the time."""

    async def heard(*, absent: frozenset[str]) -> int:
        users = servers.credentials.of(BROKER_USERS)
        await provision_rabbitmq(servers.rabbitmq.management_url, users, room.name, absent=absent)
        async with room.broker() as channel:
            await (await channel.get_queue(FULFILMENT)).purge()
        await publish(servers, room, "order", *told, ShipmentApproved.type)

        async def all_there() -> bool:
            return (await waiting(room))[NOTIFICATIONS] == len(told)

        await until(all_there, within=PATIENCE, what="what others hear")
        async with room.broker() as channel:
            await (await channel.get_queue(NOTIFICATIONS)).purge()
        return (await waiting(room))[FULFILMENT]

    told = [event.type for event in sorted(WHERE_IT_RUNS[FULFILMENT], key=lambda event: event.type)]
    for absent, expected in ((OPTIONAL, 1), (frozenset(), 3), (OPTIONAL, 1)):
        assert await heard(absent=absent) == expected
