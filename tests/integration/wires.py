"""The other services, as one service sees them: what they send, and what they hear."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aio_pika import Message
from aio_pika.abc import AbstractChannel, AbstractExchange, AbstractQueue

from sagactl.polling import until
from services.shared.contract import wire
from services.shared.contract.events import EXCHANGE, Event
from tests.integration.room import PATIENCE, Room


class Wires:
    """Publishes to the service, and hears whatever is published by it."""

    def __init__(self, channel: AbstractChannel, exchange: AbstractExchange, heard: AbstractQueue) -> None:
        self._channel, self._exchange, self._heard = channel, exchange, heard

    async def send(self, event: Event, id_: str | None = None) -> str:
        """As our services do. Returns the event's id."""
        id_ = id_ or str(uuid.uuid4())
        message = Message(wire.encode(event), message_id=id_, correlation_id=event.subject, type=event.type)
        await self._exchange.publish(message, event.type)
        return id_

    async def send_as_is(self, queue: str, body: dict[str, Any]) -> None:
        """As an older publisher does: to the queue. (The client library adds nothing but an id.)"""
        await self._channel.default_exchange.publish(Message(json.dumps(body).encode()), queue)

    async def hear(self, type_: str) -> dict[str, Any]:
        """The data of the next event of this type; others are passed over."""

        async def heard() -> list[dict[str, Any]]:
            while (message := await self._heard.get(fail=False)) is not None:
                await message.ack()
                if message.type == type_:
                    return [json.loads(message.body)["data"]]
            return []

        [data] = await until(heard, within=PATIENCE, what=f"an event {type_}")
        return data

    async def hear_nothing(self, *types: str, during: float) -> None:
        """Fail when one of these is heard within `during` seconds."""
        await asyncio.sleep(during)
        while (message := await self._heard.get(fail=False)) is not None:
            await message.ack()
            assert message.type not in types


@asynccontextmanager
async def wired(room: Room) -> AsyncIterator[Wires]:
    async with room.broker() as channel:
        exchange = await channel.get_exchange(EXCHANGE)
        heard = await channel.declare_queue(exclusive=True)
        await heard.bind(exchange, "#")
        yield Wires(channel, exchange, heard)
