"""What a broker does to those who depend on it: it drops them, dies, falls silent, takes nothing more."""

import asyncio
from collections.abc import Sequence
from typing import Final

from dev.survive.site import Site
from services.shared.contract.events import CORE

TIMES_CLOSED: Final = 15
TIMES_KILLED: Final = 5
BURST: Final = 60
BURST_CUSTOMERS: Final = 30
# The broker lists a connection about a second after it was made.
LISTED_SECONDS: Final = 1.5
# Of the short form. A silence is found out after three of them and some seconds.
HEARTBEAT_SECONDS: Final = 2
MEMORY_ALARM: Final = (
    ("set_vm_memory_high_watermark", "absolute", "1MB"),
    ("set_vm_memory_high_watermark", "0.4"),
)
DISK_ALARM: Final = ("set_disk_free_limit", "1000000GB"), ("set_disk_free_limit", "50MB")
BACKLOG: Final = 300
# Of the backlog, what may be left when the alarm is lifted.
LEFT: Final = 0.25
WORKED_OFF_WITHIN: Final = 20.0


async def connections(site: Site) -> None:
    """All are closed, each time while a burst of orders makes a burst of events."""
    closed = 0
    for _ in range(int(site.length(6, TIMES_CLOSED))):
        burst = asyncio.create_task(site.traffic.burst(BURST, BURST_CUSTOMERS))
        await asyncio.sleep(site.chance.uniform(0.05, 0.4))
        closed += await site.close_connections()
        await burst
        await asyncio.sleep(LISTED_SECONDS)
    site.expect(holds=closed > 0, otherwise="no connection was there to be closed")


async def killed(site: Site) -> None:
    """Each time while the services hold what they could not publish before."""
    for _ in range(int(site.length(2, TIMES_KILLED))):
        await site.stack.kill("rabbitmq")
        await asyncio.sleep(site.chance.uniform(2, 4))
        await site.stack.start("rabbitmq")
        await asyncio.sleep(site.chance.uniform(0.3, 2))


async def short_heartbeats(site: Site) -> None:
    """In the short form, so that the silence is noticed while it lasts."""
    if site.short:
        for service in CORE:
            url = f"{site.amqp_url(service)}?heartbeat={HEARTBEAT_SECONDS}"
            await asyncio.gather(
                *(site.stack.restart(name, {"AMQP_URL": url}) for name in site.replicas(service))
            )


async def silent(site: Site) -> None:
    """It answers nothing and closes nothing, longer than heartbeats are waited for."""
    site.stack.pause("rabbitmq")
    taken = len(site.traffic.accepted)
    await asyncio.sleep(site.length(20, 240))
    more = len(site.traffic.accepted) - taken
    site.stack.resume("rabbitmq")
    site.expect(holds=more > 0, otherwise="no order was accepted while the broker was silent")


async def memory_alarm(site: Site) -> None:
    await _alarm(site, MEMORY_ALARM, "mem_alarm")


async def disk_alarm(site: Site) -> None:
    await _alarm(site, DISK_ALARM, "disk_free_alarm")


async def _alarm(site: Site, commands: tuple[Sequence[str], Sequence[str]], name: str) -> None:
    """Nobody may publish; a backlog in front of the stock is worked off all the same."""

    async def length() -> int:
        return await site.queue_length("inventory")

    async def is_raised() -> bool:
        return all(node[name] for node in await site.management("GET", "nodes"))

    for replica in site.replicas("inventory"):
        site.stack.pause(replica)
    await site.until(length, lambda found: found >= BACKLOG, within=30, what=f"a backlog of {BACKLOG}")
    raised, lifted = commands
    await site.rabbitmqctl(*raised)
    try:
        await site.until(is_raised, within=15, what="the alarm")
        most = LEFT * await length()
        for replica in site.replicas("inventory"):
            site.stack.resume(replica)
        what = "the backlog is worked off during the alarm"
        await site.until(length, lambda found: found <= most, within=WORKED_OFF_WITHIN, what=what)
    finally:
        await site.rabbitmqctl(*lifted)
