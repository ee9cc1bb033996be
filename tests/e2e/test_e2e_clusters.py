"""Servers of three lose one of them, or its volume, while customers are buying: `make e2e-long`."""

import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager

import pytest

from sagactl.polling import until
from sagactl.shop import Client
from tests.e2e import books
from tests.e2e.conftest import HERE, administrator, at_the_door_of, installed
from tests.e2e.load import Load
from tests.e2e.release import CommandError, Release

pytestmark = pytest.mark.long
CLUSTERS = Release("mall", "mall-e2e", (HERE / "values.yaml", HERE / "clusters.yaml"))
STOCK = 20_000
SOME = 20
NODES = 3
LOST = "rabbitmq-0"
QUEUES = ("list_queues", "--formatter", "json", "--quiet", "name", "members")


@pytest.fixture(scope="module")
def mall(report: list[str]) -> Iterator[Release]:
    with installed(CLUSTERS, report) as mall:
        yield mall


@pytest.fixture
async def door(mall: Release) -> AsyncIterator[Client]:
    async with at_the_door_of(mall) as visitor:
        yield visitor


async def under_load(
    mall: Release, door: Client, report: list[str], what: str, harm: Callable[[], Awaitable[None]]
) -> None:
    admin = await administrator(mall, door)
    initial = {await admin.add_product(STOCK): STOCK for _ in range(3)}
    async with Load(await door.register(), [*initial]) as load:

        async def bought() -> int:
            return len(load.orders)

        await until(bought, lambda count: count > SOME, within=60, what="the first orders")
        await harm()
        before = len(load.orders)
        await until(bought, lambda count: count > before + SOME, within=120, what="orders afterwards")
    counted = await books.balance(admin, load.orders, initial)
    failed = len(load.failures)
    report.append(f"          {what}: {len(load.orders)} orders, {failed} failed, {json.dumps(counted)}")
    await books.check(mall, load.orders)
    assert load.failures == []


async def lose_volume(mall: Release, pod: str) -> None:
    """Delete a pod's volume with the pod."""
    uid = (await mall.get("pod", pod))["metadata"]["uid"]
    await mall.kubectl("delete", "pvc", f"data-{pod}", "--wait=false")
    await mall.kill(pod)

    async def another() -> bool:
        """A pod that was made before its volume was gone waits for it for ever."""
        try:
            found = await mall.get("pod", pod)
            claim = await mall.get("pvc", f"data-{pod}")
        except CommandError:
            return False
        if "deletionTimestamp" in claim["metadata"] and found["metadata"]["uid"] != uid:
            await mall.kill(pod)
        return found["metadata"]["uid"] != uid and "deletionTimestamp" not in claim["metadata"]

    await until(another, within=120, what="a pod with another volume", every=1)


async def members(mall: Release, node: int) -> dict[str, int]:
    """How many members each queue has, as one node sees it."""
    found = await mall.kubectl("exec", f"{mall.name}-rabbitmq-{node}", "--", "rabbitmqctl", *QUEUES)
    return {queue["name"]: len(queue["members"]) for queue in json.loads(found)}


async def test_a_node_of_the_broker_dies(mall: Release, door: Client, report: list[str]) -> None:
    async def harm() -> None:
        await mall.kill(f"{mall.name}-{LOST}")
        await mall.ready(f"statefulset/{mall.name}-rabbitmq")

    await under_load(mall, door, report, "a RabbitMQ node killed", harm)


async def test_a_node_of_the_broker_that_lost_its_volume_joins_before_it_serves(
    mall: Release, door: Client, report: list[str]
) -> None:
    pod = f"{mall.name}-{LOST}"
    everything = await members(mall, 1)
    assert set(everything.values()) == {NODES}

    async def harm() -> None:
        await lose_volume(mall, pod)
        await until(lambda: mall.is_ready(pod), within=300, what=f"{pod} to be ready", every=0.2)
        # A cluster of its own would have no queue.
        assert (await members(mall, 0)).keys() == everything.keys()

    await under_load(mall, door, report, "the volume of a RabbitMQ node lost", harm)
    await until(
        lambda: members(mall, 1),
        lambda found: found == everything,
        within=180,
        what="all queues to have three members again",
        every=5,
    )


@asynccontextmanager
async def asking_once(mall: Release) -> AsyncIterator[None]:
    """A node that starts meanwhile looks for others once, and not for minutes."""
    name, file = f"configmap/{mall.name}-rabbitmq", "20-sagashop.conf"
    config = (await mall.get(name))["data"][file]

    async def be(text: str) -> None:
        await mall.kubectl("patch", name, "--patch", json.dumps({"data": {file: text}}))

    await be(f"{config}cluster_formation.discovery_retry_limit = 1\n")
    try:
        yield
    finally:
        await be(config)


async def founded_alone(mall: Release, pod: str) -> bool:
    """Whether the node is up, in a cluster of itself: no longer looking for others."""
    up_and_with_whom = "true = rabbit:is_running(), rabbit_nodes:list_members()."
    command = ("rabbitmqctl", "--quiet", "eval", up_and_with_whom)
    try:
        found = await mall.kubectl("exec", pod, "--", *command)
    except CommandError:
        return False
    return found.count("rabbit@") == 1 and pod in found


async def test_a_node_that_founded_a_cluster_of_its_own_gives_it_up_and_joins(
    mall: Release, door: Client, report: list[str]
) -> None:
    """It lost its volume while nobody else was there to be asked."""
    pod, broker = f"{mall.name}-{LOST}", f"statefulset/{mall.name}-rabbitmq"
    everything = await members(mall, 1)
    others = [f"{mall.name}-rabbitmq-{node}" for node in range(1, NODES)]
    seconds: list[float] = []

    async def harm() -> None:
        await mall.kubectl("scale", broker, "--replicas=1")
        for other in others:
            await mall.kill(other)
        async with asking_once(mall):
            await lose_volume(mall, pod)
            await until(lambda: founded_alone(mall, pod), within=300, what="a cluster of its own", every=2)
        assert not await mall.is_ready(pod), "it serves nobody"
        begin = time.monotonic()
        await mall.kubectl("scale", broker, f"--replicas={NODES}")
        for other in (pod, *others):
            await until(lambda: mall.is_ready(other), within=600, what=f"{other} to be ready", every=1)  # noqa: B023 - used at once
        seconds.append(time.monotonic() - begin)
        assert (await members(mall, 0)).keys() == everything.keys()

    await under_load(mall, door, report, "a RabbitMQ node founded a cluster of its own", harm)
    report.append(f"          it had joined the others {seconds[0]:.0f} s after they came back")
    await until(
        lambda: members(mall, 1),
        lambda found: found == everything,
        within=180,
        what="all queues to have three members again",
        every=5,
    )


async def test_the_database_is_rolled(mall: Release, door: Client, report: list[str]) -> None:
    async def harm() -> None:
        await mall.kubectl("rollout", "restart", f"statefulset/{mall.name}-mongodb")
        await mall.ready(f"statefulset/{mall.name}-mongodb")

    await under_load(mall, door, report, "MongoDB rolled", harm)


async def test_a_member_of_the_database_loses_its_volume(
    mall: Release, door: Client, report: list[str]
) -> None:
    pod = f"{mall.name}-mongodb-1"

    async def harm() -> None:
        await lose_volume(mall, pod)
        await until(lambda: mall.is_ready(pod), within=300, what=f"{pod} to be ready", every=1)

    await under_load(mall, door, report, "the volume of a MongoDB member lost", harm)
