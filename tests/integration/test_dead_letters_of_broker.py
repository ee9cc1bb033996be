"""A message over which its consumer dies again and again: the broker itself puts it aside, and says why."""

import asyncio
from urllib.parse import quote, urlsplit

import aio_pika
import aiohttp
import pytest

from dev.stack import Stack
from sagactl.oncall import broker
from sagactl.polling import until
from services.shared.contract import topology
from services.shared.contract.events import CONSUMES
from services.shared.engine.declaring import declare
from tests.integration.room import PATIENCE, Room


async def test_a_message_that_was_returned_too_often_is_explained(room: Room) -> None:
    async with room.broker() as channel:
        await declare(await channel.get_underlay_channel(), "notification", CONSUMES["notification"])
        await room.publish("notification.retry", "notifications", b"fatal", message_id="m1")
        queue = await channel.get_queue("notifications")
        for _ in range(topology.DELIVERY_LIMIT + 1):
            message = await queue.get()
            await message.nack(requeue=True)

    async def dead() -> bool:
        return bool(await broker.dead_letters(room.amqp_url, ["notifications"], 1))

    await until(dead, within=PATIENCE, what="the dead letter")
    (letter,) = await broker.dead_letters(room.amqp_url, ["notifications"], 10)
    assert (letter.id, letter.kind, letter.body) == ("m1", "broker", b"fatal")
    assert letter.reason == "returned to the queue 50 times: its consumer dies over it"
    assert letter.first_failed_at.startswith("20")


async def test_looking_at_dead_letters_leaves_them_where_they_are(room: Room) -> None:
    async with room.broker() as channel:
        await declare(await channel.get_underlay_channel(), "notification", CONSUMES["notification"])
        await room.publish("notification.retry", "notifications.dlq", b"x", message_id="m1")
    for _ in range(25):  # RabbitMQ 4 drops what was returned 20 times, unless the queue says otherwise
        assert len(await broker.dead_letters(room.amqp_url, ["notifications"], 10)) == 1


# --- a connection that is lost amid ----------------------------------------------------------------------


async def close_connections(servers: Stack, room: Room) -> None:
    """Those to the room's vhost, at least one, as an operator closes them."""
    url = f"{servers.rabbitmq.management_url}/api"
    vhost = quote(urlsplit(room.amqp_url).path[1:], safe="")
    async with aiohttp.ClientSession() as http:

        async def there() -> list[str]:
            async with http.get(f"{url}/vhosts/{vhost}/connections") as response:
                return [each["name"] for each in await response.json() if each.get("name")]

        for name in await until(there, within=PATIENCE, what="a connection"):
            async with http.delete(f"{url}/connections/{quote(name, safe='')}"):
                pass


async def test_what_only_reads_is_asked_again_where_its_connection_is_lost(
    servers: Stack, room: Room
) -> None:
    async with room.broker() as channel:
        await declare(await channel.get_underlay_channel(), "notification", CONSUMES["notification"])
        await room.publish("notification.retry", "notifications.dlq", b"x", message_id="m1")
    asked = 0

    async def ask(channel: aio_pika.abc.AbstractChannel) -> list[bytes]:
        nonlocal asked
        asked += 1
        found = [each.body async for each in broker.take(channel, "notifications", 10)]
        if asked < 3:
            await close_connections(servers, room)
            async with asyncio.timeout(PATIENCE):
                while True:
                    await channel.declare_queue("notifications.dlq", passive=True)
        return found

    with pytest.raises(broker.LOST):
        await broker.read(room.amqp_url, ask, tries=1)
    assert await broker.read(room.amqp_url, ask, tries=2) == [b"x"]
    assert asked == 3


async def test_what_the_broker_refuses_is_not_asked_again(room: Room) -> None:
    asked = 0

    async def ask(channel: aio_pika.abc.AbstractChannel) -> None:
        nonlocal asked
        asked += 1
        await channel.declare_queue("no-such-queue", passive=True)

    with pytest.raises(aio_pika.exceptions.ChannelNotFoundEntity):
        await broker.read(room.amqp_url, ask)
    assert asked == 1
