"""Everything at random: two replicas under load while their networks fail, one fault after another."""

import asyncio
import random
import uuid
from collections.abc import Callable
from typing import get_args

import pytest

from dev.faults import Direction, Proxy
from services.shared.contract.decisions import Unavailable
from services.shared.contract.events import Event
from services.shared.engine.life import Engine
from tests.engine.lab import Lab, add, named, until
from tests.engine.toy import EFFECTS_QUEUE, QUEUE, pay, reserve

LASTS = 15.0
# Leases that were taken just before the end, and a claim on top.
AT_REST_WITHIN = 50.0
MESSAGES = 400


def fault(chance: random.Random, proxy: Proxy) -> Callable[[], None]:
    direction: Direction = chance.choice(get_args(Direction))

    def gone() -> None:
        proxy.refuse()
        proxy.cut()

    faults: list[Callable[[], None]] = [
        proxy.cut,
        gone,
        lambda: proxy.silence(direction),
        lambda: proxy.freeze(direction),
        lambda: proxy.delay(0.2, direction),
        lambda: proxy.trickle(20_000, direction),
        lambda: proxy.drop_after(chance.randrange(1, 20_000), direction),
    ]
    return chance.choice(faults)


async def misfortune(chance: random.Random, *proxies: Proxy) -> None:
    """One after the other, with a while of peace between."""
    end = asyncio.get_running_loop().time() + LASTS
    while asyncio.get_running_loop().time() < end:
        proxy = chance.choice(proxies)
        fault(chance, proxy)()
        await asyncio.sleep(chance.uniform(0.1, 2.5))
        proxy.heal()
        await asyncio.sleep(chance.uniform(0.1, 0.5))


async def customers(engines: list[Engine], done: set[str]) -> None:
    """Order as long as they are let. Who is told that it failed goes away."""
    while True:
        subject = f"command-{uuid.uuid4()}"
        engine = random.choice(engines)
        try:
            await add(engine, subject)
        except Unavailable:
            await asyncio.sleep(0.1)
        else:
            done.add(subject)
            await asyncio.sleep(0.05)


async def publisher(lab: Lab, queue: str, events: list[Event]) -> None:
    """Each twice, the second time soon after or much later."""
    ids = [event.subject for event in events]
    for start in range(0, MESSAGES, 20):
        await lab.send(queue, events[start : start + 20], ids[start : start + 20])
        again = random.randrange(0, start + 1)
        await lab.send(queue, events[again : again + 20], ids[again : again + 20])
        await asyncio.sleep(LASTS * 20 / MESSAGES)
    await lab.send(queue, events, ids)


@pytest.mark.mode(16)
async def test_whatever_fails_nothing_is_lost_and_nothing_is_done_twice(lab: Lab) -> None:
    chance = random.Random(1)
    reserved, paid, done = named("message", MESSAGES), named("payment", MESSAGES), set[str]()
    await lab.declare()
    async with lab.spy() as spy, lab.replica() as one, lab.replica() as another:
        shoppers = [asyncio.create_task(customers([one, another], done)) for _ in range(8)]
        await asyncio.gather(
            misfortune(chance, lab.broker, lab.database, lab.redis),
            publisher(lab, QUEUE, [reserve(subject) for subject in reserved]),
            publisher(lab, EFFECTS_QUEUE, [pay(subject, chance.choice([0.0, 0.1])) for subject in paid]),
        )
        for shopper in shoppers:
            shopper.cancel()
        await asyncio.wait(shoppers)

        async def messages() -> dict[str, int]:
            return {subject: n for subject, n in (await lab.toys()).items() if subject.startswith("message")}

        await until("all messages are counted, once", messages, dict.fromkeys(reserved, 1), AT_REST_WITHIN)
        once = dict.fromkeys(paid, 1)
        await until("all payments are made, once", lambda: lab.toys("paid"), once, AT_REST_WITHIN)
        await until("all is acknowledged", lab.unacknowledged, 0, AT_REST_WITHIN)
        await until("the outbox is empty", lab.rows, 0, AT_REST_WITHIN)
        counted = await lab.toys()
        assert set(counted.values()) == {1}
        assert done <= set(counted), "a command that was answered is not there"
        assert spy.distinct() == len(counted) + len(paid)
        assert spy.heard_of([*counted, *paid]) == len(counted) + len(paid)
        for queue in (QUEUE, EFFECTS_QUEUE):
            assert (await lab.waiting(queue))["dead"] == 0
