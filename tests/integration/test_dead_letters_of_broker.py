"""A message over which its consumer dies again and again: the broker itself puts it aside, and says why."""

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
