"""Messages of publishers that are not ours, byte by byte as they may come: each is its own trouble alone."""

import asyncio
import struct
from collections.abc import Mapping
from typing import Final

import pytest

from dev.faults.raw_amqp import Closed, array, long_string, raw_channel, short, table
from services.shared.contract import wire
from tests.engine.lab import SOON, TOLD_WITHIN, Lab, named, until
from tests.engine.toy import EFFECTS_QUEUE, QUEUE, pay, reserve

Properties = Mapping[str, bytes]
PRECONDITION_FAILED: Final = 406
NOT_UTF8: Final = b"caf\xe9"
NOT_OURS: Final = b'{"type":"NOPE","data":{}}'


def headers(**values: bytes) -> Properties:
    return {"headers": table({name.replace("_", "-").encode(): value for name, value in values.items()})}


# The broker obeys these: it sends a copy to the queue that they name.
TO_QUEUE: Final = (
    headers(CC=array(long_string(QUEUE.encode()))),
    headers(BCC=array(long_string(QUEUE.encode()))),
)
ODD: Final[dict[str, Properties]] = {
    "a header that is not UTF-8": headers(note=long_string(NOT_UTF8)),
    "a header's name that is not UTF-8": {"headers": table({NOT_UTF8: long_string(b"x")})},
    "a correlation id of bytes": {"correlation_id": short(b"\xff\xfe\x10\x9c" + bytes(12))},
    "an application id that is not UTF-8": {"app_id": short(NOT_UTF8)},
    "a message id that is not UTF-8": {"message_id": short(NOT_UTF8)},
    "a type that is not UTF-8": {"type": short(NOT_UTF8)},
    "a content type that is not UTF-8": {"content_type": short(NOT_UTF8)},
    "an address for replies that is not UTF-8": {"reply_to": short(NOT_UTF8)},
    "a huge id": {"message_id": short("é".encode() * 127)},
    "an empty id": {"message_id": short(b"")},
    "a timestamp in milliseconds": {"timestamp": struct.pack(">Q", 1_790_000_000_000)},
    "a timestamp of all ones": {"timestamp": b"\xff" * 8},
    "a timestamp among the headers": headers(at=b"T" + b"\xff" * 8),
    "priority and expiration": {"priority": b"\xff", "expiration": short(b"3600000")},
    "no persistence": {"delivery_mode": b"\x01"},
    "header CC": TO_QUEUE[0],
    "header BCC": TO_QUEUE[1],
    "headers of ours that say something else": headers(
        x_attempts=long_string(b"many"),
        x_deferrals=b"l" + b"\xff" * 8,
        x_first_failed_at=b"I\x00\x00\x00\x07",
        x_error=array(long_string(b"x")),
        x_death=long_string(b"yes"),
        traceparent=long_string(NOT_UTF8),
        tracestate=b"V",
    ),
    "attempts without end": headers(x_attempts=b"l" + b"\x7f" + b"\xff" * 7),
    "values of every kind": headers(
        void=b"V",
        yes=b"t\x01",
        octet=b"b\xff",
        unsigned=b"B\xff",
        small=b"s\xff\xff",
        double=b"d" + struct.pack(">d", 1e300),
        single=b"f" + struct.pack(">f", 1.5),
        decimal=b"D\xff\x00\x00\x00\x01",
        bytes=b"x" + struct.pack(">I", 3) + b"\x00\xff\x00",
        nested=b"F" + table({b"array": array(long_string(NOT_UTF8), array(), b"V")}),
    ),
    "a header of a hundred kilobytes": headers(note=long_string(b"x" * 100_000)),
}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
async def test_an_odd_message_is_served_or_dead_once_and_its_neighbours_are_served(
    lab: Lab, odd: Properties
) -> None:
    neighbours = named("neighbour", 30)
    await lab.declare()
    async with raw_channel(lab.room.amqp_url) as raw:
        await lab.send(QUEUE, map(reserve, neighbours[:10]))
        await raw.publish("", QUEUE, NOT_OURS, odd)
        await lab.send(QUEUE, map(reserve, neighbours[10:20]))
        await raw.publish("", QUEUE, wire.encode(reserve("odd")), odd)
        await raw.publish("", EFFECTS_QUEUE, wire.encode(pay("odd")), {} if odd in TO_QUEUE else odd)
        await lab.send(QUEUE, map(reserve, neighbours[20:]))
        await lab.send(EFFECTS_QUEUE, map(pay, neighbours))
        async with lab.replica():
            await _all_at_rest(lab, neighbours)
            await asyncio.sleep(0.5)
            await _all_at_rest(lab, neighbours)
            served, paid = (await lab.toys()).get("odd", 0), (await lab.toys("paid")).get("odd", 0)
            assert (await lab.waiting(QUEUE))["dead"] == 2 - served
            assert (await lab.waiting(EFFECTS_QUEUE))["dead"] == 1 - paid


async def _all_at_rest(lab: Lab, neighbours: list[str]) -> None:
    for field in ("count", "paid"):

        async def counted(field: str = field) -> dict[str, int]:
            return {id_: count for id_, count in (await lab.toys(field)).items() if id_ != "odd"}

        await until(f"the neighbours have {field} 1", counted, dict.fromkeys(neighbours, 1), SOON)
    for queue in (QUEUE, EFFECTS_QUEUE):

        async def waiting(queue: str = queue) -> int:
            found = await lab.waiting(queue)
            return found["ready"] + found["retry"]

        await until(f"nothing waits on {queue}", waiting, 0, SOON)
    await until("nothing is unacknowledged", lab.unacknowledged, 0, TOLD_WITHIN)


async def test_bodies_that_are_no_messages_are_dead_at_once(lab: Lab) -> None:
    bodies = (
        *(b"", b"\x00", b"null", b"[]", b"{", b'"', NOT_UTF8, b'{"type":"' + NOT_UTF8 + b'","data":{}}'),
        *(b"[" * 100_000, b'{"type":1,"data":{}}', b'{"data":{}}', b'{"type":"INVENTORY_RESERVE_REQUEST"}'),
        b'{"type":"INVENTORY_RESERVE_REQUEST","data":{"orderId":"\\ud800","products":[]}}',
    )
    await lab.declare()
    async with raw_channel(lab.room.amqp_url) as raw, lab.replica():
        for body in bodies:
            await raw.publish("", QUEUE, body)
        await lab.send(QUEUE, [reserve("neighbour")])
        await until("the neighbour is served", lab.toys, {"neighbour": 1}, SOON)
        dead = {"ready": 0, "retry": 0, "dead": len(bodies)}
        await until("all others are dead", lab.waiting, dead, SOON)
        await until("nothing is unacknowledged", lab.unacknowledged, 0, TOLD_WITHIN)


async def test_a_byte_order_mark_before_the_body_is_read_over(lab: Lab) -> None:
    async with lab.replica(), raw_channel(lab.room.amqp_url) as raw:
        await raw.publish("", QUEUE, b"\xef\xbb\xbf" + wire.encode(reserve("marked")))
        await until("it is served", lab.toys, {"marked": 1}, SOON)


async def test_more_rubbish_than_a_consumer_takes_at_once_stops_nothing(lab: Lab) -> None:
    await lab.declare()
    async with raw_channel(lab.room.amqp_url) as raw:
        for _ in range(300):
            await raw.publish("", QUEUE, NOT_OURS, ODD["a header that is not UTF-8"])
        await lab.send(QUEUE, [reserve("last")])
        async with lab.replica():
            await until("what is behind it is served", lab.toys, {"last": 1}, SOON)
            await until("all is dead", lab.waiting, {"ready": 0, "retry": 0, "dead": 300}, SOON)
            await until("nothing is unacknowledged", lab.unacknowledged, 0, TOLD_WITHIN)


async def test_a_publisher_that_declares_our_queue_its_own_way_is_refused_and_disturbs_nobody(
    lab: Lab,
) -> None:
    """Our queues have arguments, and a publisher has no business declaring them: it is told at once."""
    async with lab.replica(), raw_channel(lab.room.amqp_url) as raw:
        with pytest.raises(Closed) as refused:
            await raw.declare(QUEUE)
        assert refused.value.code == PRECONDITION_FAILED
        await lab.send(QUEUE, [reserve("neighbour")])
        await until("the queue is consumed as before", lab.toys, {"neighbour": 1}, SOON)
