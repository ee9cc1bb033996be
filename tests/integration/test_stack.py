"""The local stack itself: it starts, keeps its data, and leaves nothing behind."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest
from pymongo import AsyncMongoClient
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from dev.logfiles import RUN_BEGINS
from dev.ports import DEFAULTS, Ports, PortTakenError
from dev.processes import ProcessEndedError, Processes, Program
from dev.stack import Stack
from sagactl.polling import until
from sagactl.shop import Client
from tests.integration.room import PATIENCE

REPOSITORY = Path(__file__).parent.parent.parent


def processes_of(directory: Path) -> list[str]:
    """Every process that was told of the directory, by its command line or its environment."""
    found = []
    for process in psutil.process_iter():
        try:
            told = [*process.cmdline(), *process.environ().values()]
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue
        if process.pid != os.getpid() and any(str(directory) in each for each in told):
            found.append(f"{process.pid} {process.name()}")
    return found


async def nothing_is_left_of(directory: Path) -> None:
    """Erlang's own helpers take a moment to notice that their broker is gone."""

    async def left() -> list[str]:
        return processes_of(directory)

    await until(left, lambda found: not found, within=PATIENCE, what="the end of all processes", every=0.1)


async def dev(
    command: str, directory: Path, settings: Mapping[str, str] | None = None, **more: Any
) -> asyncio.subprocess.Process:
    """`python -m dev` in a process of its own."""
    environment = {**os.environ, "STACK_DIR": str(directory), "PORTS": "random", **(settings or {})}
    arguments = ["-m", "dev", *command.split()]
    return await asyncio.create_subprocess_exec(
        sys.executable, *arguments, cwd=REPOSITORY, env=environment, **more
    )


async def said(command: str, directory: Path) -> str:
    """What the command says when it succeeds."""
    process = await dev(command, directory, stdout=subprocess.PIPE)
    out, _ = await process.communicate()
    assert process.returncode == 0, out.decode()
    return out.decode()


@contextmanager
def listening() -> Iterator[int]:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        yield taken.getsockname()[1]


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One directory for the module: a new RabbitMQ takes seconds to make itself at home.

    There are blanks in its path, as there may be in anybody's.
    """
    path = tmp_path_factory.mktemp("my stack")
    yield path
    asyncio.run(Processes(path).stop())


async def write_order(mongodb_url: str) -> None:
    async with AsyncMongoClient[dict[str, Any]](mongodb_url) as client:
        await client.order.orders.insert_one({"_id": "order_1"})


async def read_order(mongodb_url: str) -> dict[str, Any] | None:
    async with AsyncMongoClient[dict[str, Any]](mongodb_url) as client:
        return await client.order.orders.find_one({"_id": "order_1"})


def ping(stack: Stack) -> None:
    with Redis.from_url(stack.redis.url, socket_timeout=0.5) as redis:
        redis.ping()


@pytest.mark.long
async def test_what_up_leaves_running_is_stopped_by_down_and_keeps_its_data_on_other_ports(
    directory: Path,
) -> None:
    assert "servers only" in await said("up --servers-only", directory)
    first = json.loads((directory / "stack.json").read_text())["mongodbUrl"]
    await write_order(first)
    assert "mongodb" in await said("status", directory)
    assert "stopped: mongodb, epmd, rabbitmq, redis" in await said("down", directory)
    await nothing_is_left_of(directory)
    assert "nothing runs" in await said("down", directory)
    assert await (await dev("status", directory)).wait() == 1
    async with Stack(directory, services=()) as second:
        assert second.mongodb.url != first
        assert await read_order(second.mongodb.url) == {"_id": "order_1"}
    await nothing_is_left_of(directory)
    assert not (directory / "stack.json").exists()


async def test_a_server_can_be_frozen_killed_and_started_again(servers: Stack) -> None:
    servers.pause("redis")
    with pytest.raises(RedisTimeoutError):
        ping(servers)
    servers.resume("redis")
    ping(servers)
    await servers.kill("redis")
    with pytest.raises(RedisConnectionError):
        ping(servers)
    await servers.start("redis")
    ping(servers)


@pytest.mark.long
@pytest.mark.parametrize("awaited", ["processes.json", "stack.json"])
async def test_ctrl_c_leaves_nothing_behind_while_it_starts_or_runs(directory: Path, awaited: str) -> None:
    file = directory / awaited
    file.unlink(missing_ok=True)

    async def written() -> bool:
        return file.exists()

    foreground = await dev("run --servers-only", directory)
    await until(written, within=PATIENCE, what=awaited)
    foreground.send_signal(signal.SIGINT)
    assert await foreground.wait() == 128 + signal.SIGINT
    await nothing_is_left_of(directory)


@pytest.mark.long
async def test_make_up_keeps_a_filled_shop_alive_until_make_down(directory: Path) -> None:
    """Up, up again, a service dies, one is restarted, the supervisor dies, up again, down: one life."""
    assert "customer@sagashop.example" in await said("up", directory)
    shop = json.loads((directory / "stack.json").read_text())
    stories = await ends_of_orders(shop)
    assert stories == {
        ("PAID", None): 3,
        ("REFUNDED", None): 1,
        ("CANCELLED", "OUT_OF_STOCK"): 1,
        ("CANCELLED", "PAYMENT_FAILED"): 1,
        ("CANCELLED", "CUSTOMER_CANCELLED"): 1,
    }

    assert "already up" in await said("up", directory)
    assert pids(directory) == shop["pids"]
    assert await ends_of_orders(shop) == stories

    os.kill(shop["pids"]["order"], signal.SIGKILL)
    again = partial(runs, directory, "order", shop["pids"]["order"])
    await until(again, within=PATIENCE, what="another order service")
    log = directory / "logs" / "order.log"
    assert "ended by itself: it is started again in 1 s" in log.read_text()
    assert log.read_text().count(RUN_BEGINS) == 2

    assert "inventory is ready again" in await said("restart inventory", directory)
    assert pids(directory)["inventory"] != shop["pids"]["inventory"]
    assert pids(directory)["auth"] == shop["pids"]["auth"]
    assert "auth, order, product" in await refused("restart ordr", directory)

    before = (directory / "layout.json").read_text()
    for command in ("restart inventory", "up"):
        said_no = await refused(command, directory, LOG_LEVEL="loud")
        assert "LOG_LEVEL: give one of debug, info, warning, error\nnothing was changed" in said_no
    busy = shop["gateway"].rpartition(":")[2]
    assert (
        "inventory does not start with the given METRICS_PORT: it runs with its former settings"
        in await refused("restart inventory", directory, METRICS_PORT=busy)
    )
    assert (directory / "layout.json").read_text() == before
    assert await runs(directory, "inventory", shop["pids"]["inventory"])

    os.kill(pids(directory)["supervisor"], signal.SIGKILL)
    os.kill(pids(directory)["payment"], signal.SIGKILL)
    assert "started again: payment" in await said("up", directory)
    assert pids(directory)["auth"] == shop["pids"]["auth"]
    assert set(pids(directory)) == set(shop["pids"])

    await said("down", directory)
    await nothing_is_left_of(directory)


def pids(directory: Path) -> dict[str, int]:
    found: dict[str, int] = json.loads((directory / "stack.json").read_text())["pids"]
    return found


async def runs(directory: Path, name: str, before: int) -> bool:
    """Whether another process of this name is ready."""
    description = json.loads((directory / "stack.json").read_text())
    if description["pids"].get(name) in {None, before}:
        return False
    async with aiohttp.ClientSession() as session:
        with suppress(aiohttp.ClientError):
            async with session.get(f"{description['replicas'][name]}/readyz") as answer:
                return answer.ok
    return False


async def ends_of_orders(shop: dict[str, Any]) -> Counter[tuple[str, str | None]]:
    async with aiohttp.ClientSession() as session:
        customer = await Client(session, shop["gateway"]).log_in(**shop["customer"])
        orders = (await customer.call("GET", "/api/orders"))["items"]
        return Counter((order["status"], order.get("cancellationReason")) for order in orders)


async def refused(command: str, directory: Path, **settings: str) -> str:
    """What the command says when it fails."""
    process = await dev(command, directory, settings, stdout=subprocess.PIPE)
    out, _ = await process.communicate()
    assert process.returncode == 1, out.decode()
    return out.decode()


async def test_servers_of_ones_own_are_used_as_they_are(tmp_path: Path) -> None:
    own = {
        "MONGODB_URL": "mongodb://db.example/?replicaSet=rs0",
        "AMQP_URL": "amqp://shop:pw@broker.example/",
        "REDIS_URL": "redis://cache.example/0",
    }
    async with Stack(tmp_path, settings=own, services=()) as stack:
        assert list(stack.processes) == []
        described = json.loads((tmp_path / "stack.json").read_text())
        assert [described[key] for key in ("mongodbUrl", "amqpUrl", "redisUrl")] == list(own.values())
        assert described["managementUrl"] == "http://shop:pw@broker.example:15672"


async def test_a_process_that_ends_while_it_is_waited_for_says_why(tmp_path: Path) -> None:
    processes = Processes(tmp_path)
    processes.start(Program("short", ["sh", "-c", "echo no such file; exit 1"], os.environ, tmp_path))

    async def ended() -> bool:
        return "short" not in processes

    await until(ended, within=PATIENCE, what="the end of the process")
    with pytest.raises(ProcessEndedError, match="no such file"):
        processes.check("short")


async def test_a_process_that_ignores_sigterm_is_killed_with_its_children(tmp_path: Path) -> None:
    processes = Processes(tmp_path)
    stubborn = "trap '' TERM; sleep 1000 & while true; do sleep 1000; done"
    processes.start(Program("stubborn", ["sh", "-c", stubborn], os.environ, tmp_path))
    children: list[psutil.Process] = []

    async def both_sleep() -> bool:
        children[:] = psutil.Process(processes.pid("stubborn")).children()
        return [child.name() for child in children] == ["sleep", "sleep"]

    await until(both_sleep, within=PATIENCE, what="both children")
    await processes.stop(patience=0.2)
    psutil.wait_procs(children, timeout=5)
    assert not any(child.is_running() for child in children)


async def test_a_stranger_with_a_remembered_process_id_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "processes.json").write_text(json.dumps({"order": {"pid": os.getpid(), "created": 1.0}}))
    processes = Processes(tmp_path)
    assert "order" not in processes
    await processes.stop()  # which would end these tests


def test_the_next_port_is_taken_when_the_usual_one_is_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    with listening() as port:
        monkeypatch.setitem(DEFAULTS, "gateway", port)
        with Ports({}) as ports:
            first, second = ports.take("gateway"), ports.take("gateway-2")
        assert port < first < second


def test_a_port_that_was_asked_for_is_never_silently_another() -> None:
    with listening() as port, pytest.raises(PortTakenError, match=f"PORT_GATEWAY={port}"):
        Ports({"PORT_GATEWAY": str(port)}).take("gateway")
