"""A shop on trial, `make e2e-long`: checked by the clock, used, hurt, and judged by `helm test`."""

import re
from collections.abc import AsyncIterator, Iterator

import pytest

from sagactl.polling import until
from sagactl.shop import Client
from tests.e2e.conftest import HERE, administrator, at_the_door_of, installed
from tests.e2e.release import CommandError, Release
from tests.e2e.watcher import Watcher

pytestmark = pytest.mark.long
TRIAL = Release("trial", "trial-e2e", (HERE / "values.yaml", HERE / "trial.yaml"))
# Seconds. Checks are a minute apart, judge what has been still for half a minute, and a sweep tells of them.
CHECKED_WITHIN = 300
WHY = "the queue was purged by mistake"
# Kills, each of another chart.
FAULTS = 9
USED = ("load.enabled=true", "load.rate=5", "faults.enabled=true", "faults.every=5s")
ACCEPTED = (
    "import urllib.request as http; print(http.urlopen('http://localhost:9090/accepted').read().decode())"
)
# Moves an order out of the books, or back.
MOVE = """
import sys, pymongo
order, source, target = sys.argv[1:]
books = pymongo.MongoClient(open("/var/run/secrets/sagashop.io/admin/MONGODB_URL").read())["order"]
books[target].insert_one(books[source].find_one({"_id": order}))
books[source].delete_one({"_id": order})
"""


@pytest.fixture(scope="module")
def trial(report: list[str]) -> Iterator[Release]:
    with installed(TRIAL, report) as trial:
        yield trial


@pytest.fixture
async def door(trial: Release) -> AsyncIterator[Client]:
    async with at_the_door_of(trial) as visitor:
        yield visitor


async def messages(trial: Release, queue: str) -> int:
    listed = await trial.kubectl(
        "exec", f"{trial.name}-rabbitmq-0", "--", "rabbitmqctl", "list_queues", "--quiet", "name", "messages"
    )
    return {name: int(count) for name, count in map(str.split, listed.splitlines()[1:])}[queue]


async def lose_that_it_was_paid(trial: Release, order: str, customer: Client) -> None:
    """A confirmed order is paid while inventory is away, whose queue is purged then."""
    await trial.scale("inventory", 0)
    await trial.scale("payment", 1)
    await customer.at(order, "PAID", within=120)
    queue = "inventory-events"
    await until(lambda: messages(trial, queue), lambda count: count == 1, within=90, what=f"one in {queue}")
    await trial.kubectl("exec", f"{trial.name}-rabbitmq-0", "--", "rabbitmqctl", "purge_queue", queue)
    await trial.scale("inventory", 1)


async def column(watcher: Watcher) -> str:
    header, row = (await watcher.table()).splitlines()
    return row.split()[header.split().index("CONSISTENT")]


async def test_the_monitor_tells_that_the_books_are_broken_and_that_they_were_repaired(
    trial: Release, door: Client, report: list[str]
) -> None:
    watcher, customer = Watcher(trial), await door.register()
    admin = await administrator(trial, door)
    lamp = await admin.add_product(5)
    await trial.scale("payment", 0)
    order = (await customer.place({lamp: 2}))["orderId"]
    await customer.at(order, "CONFIRMED")
    assert await watcher.shows("Consistent", "True", within=CHECKED_WITHIN) == "Holds"
    assert await column(watcher) == "True"

    await lose_that_it_was_paid(trial, order, customer)
    assert await watcher.shows("Consistent", "False", within=CHECKED_WITHIN) == "Broken"
    assert await column(watcher) == "False"
    told = await watcher.message("Consistent")
    assert order in told
    assert "STOCK_OWNED" in told
    report.append(f"          Consistent=False: {told}")

    await trial.tool("sagactl", "repair", "--apply", "--yes", "--reason", WHY)
    await admin.stock_becomes(lamp, (3, 0, 2))
    assert await watcher.shows("Consistent", "True", within=CHECKED_WITHIN) == "Holds"
    assert await column(watcher) == "True"


async def accepted(trial: Release) -> list[str]:
    """What the load generator was promised, from the oldest on."""
    told = await trial.kubectl("exec", f"deployment/{trial.name}-load", "--", "python", "-c", ACCEPTED)
    return told.split()


async def killed(trial: Release) -> list[tuple[str, int]]:
    """What was killed and has come back, and after how many seconds."""
    told = await trial.kubectl("logs", f"deployment/{trial.name}-faults")
    return [
        (chart, int(after)) for chart, after in re.findall(r"\d+: (\S+) is ready again after (\d+) s", told)
    ]


async def move(trial: Release, order: str, source: str, target: str) -> None:
    maker = f"deployment/{trial.name}-mongodb-provision"
    await trial.kubectl("exec", maker, "--", "python", "-c", MOVE, order, source, target)


async def test_the_verdict_on_a_shop_that_is_used_and_hurt_is_good_until_an_order_is_lost(
    trial: Release, report: list[str]
) -> None:
    await trial.upgrade(*USED)
    back = await until(
        lambda: killed(trial), lambda found: len(found) >= FAULTS, within=600, what="pods killed", every=2
    )
    assert "trial-verdict" in await trial.test()
    told = ", ".join(f"{chart} {after} s" for chart, after in back)
    report.append(f"          {len(await accepted(trial))} orders; killed, and back after: {told}")

    [oldest, *_] = await accepted(trial)
    await move(trial, oldest, "orders", "lost")
    try:
        with pytest.raises(CommandError) as said:
            await trial.test()
    finally:
        await move(trial, oldest, "lost", "orders")
    assert oldest in str(said.value)
    assert "trial-verdict" in await trial.test()
