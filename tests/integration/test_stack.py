"""The local stack itself: it starts, keeps its data, and leaves nothing behind."""

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest
from pymongo import AsyncMongoClient
from pymongo.errors import OperationFailure
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from dev.ports import DEFAULTS, Ports, PortTakenError
from dev.processes import ProcessEndedError, Processes, Program
from dev.services import NAMES
from dev.stack import SERVERS, Stack
from sagactl.polling import until

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
    for _ in range(100):
        if not processes_of(directory):
            return
        await asyncio.sleep(0.1)
    pytest.fail(f"left behind: {processes_of(directory)}")


async def dev(command: str, directory: Path) -> asyncio.subprocess.Process:
    """`python -m dev` in a process of its own."""
    environment = {**os.environ, "STACK_DIR": str(directory), "PORTS": "random"}
    arguments = ["-m", "dev", *command.split()]
    return await asyncio.create_subprocess_exec(sys.executable, *arguments, cwd=REPOSITORY, env=environment)


@contextmanager
def listening() -> Iterator[int]:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        yield taken.getsockname()[1]


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One directory for the module: a new RabbitMQ takes seconds to make itself at home."""
    path = tmp_path_factory.mktemp("stack")
    yield path
    asyncio.run(Processes(path).stop())


async def write_order(stack: Stack) -> None:
    async with AsyncMongoClient[dict[str, Any]](stack.mongodb.url) as client:
        await client.order.orders.insert_one({"_id": "order_1"})


async def read_order(stack: Stack) -> dict[str, Any] | None:
    async with AsyncMongoClient[dict[str, Any]](stack.mongodb.url) as client:
        return await client.order.orders.find_one({"_id": "order_1"})


def ping(stack: Stack) -> None:
    with Redis.from_url(stack.redis.url, socket_timeout=0.5) as redis:
        redis.ping()


async def test_the_servers_start_and_keep_their_data_on_other_ports(directory: Path) -> None:
    async with Stack(directory, services=()) as first:
        await write_order(first)
    await nothing_is_left_of(directory)
    async with Stack(directory, services=()) as second:
        assert second.mongodb.url != first.mongodb.url
        assert await read_order(second) == {"_id": "order_1"}
    await nothing_is_left_of(directory)
    assert not (directory / "stack.json").exists()


async def test_each_service_reaches_only_its_own_database(directory: Path) -> None:
    async with Stack(directory, services=()) as stack:
        url = stack.mongodb.url_of("order", stack.credentials.users["order"])
        async with AsyncMongoClient[dict[str, Any]](url) as client:
            await client.order.orders.count_documents({})
            with pytest.raises(OperationFailure, match="not authorized"):
                await client.payment.payments.count_documents({})


async def test_a_server_can_be_frozen_killed_and_started_again(directory: Path) -> None:
    async with Stack(directory, services=()) as stack:
        stack.pause("redis")
        with pytest.raises(RedisTimeoutError):
            ping(stack)
        stack.resume("redis")
        ping(stack)
        await stack.kill("redis")
        with pytest.raises(RedisConnectionError):
            ping(stack)
        await stack.start("redis")
        ping(stack)


@pytest.mark.parametrize("awaited", ["processes.json", "stack.json"])
async def test_ctrl_c_leaves_nothing_behind_while_it_starts_or_runs(directory: Path, awaited: str) -> None:
    file = directory / awaited
    file.unlink(missing_ok=True)

    async def written() -> bool:
        return file.exists()

    foreground = await dev("run --servers-only", directory)
    await until(written, within=60, what=awaited)
    foreground.send_signal(signal.SIGINT)
    assert await foreground.wait() == 128 + signal.SIGINT
    await nothing_is_left_of(directory)


async def test_what_up_leaves_running_is_stopped_by_down_in_another_process(directory: Path) -> None:
    async def exit_code(command: str) -> int:
        return await (await dev(command, directory)).wait()

    assert await exit_code("up --servers-only") == 0
    assert (directory / "stack.json").exists()
    assert await exit_code("status") == 0
    assert await exit_code("down") == 0
    await nothing_is_left_of(directory)
    assert await exit_code("status") == 1


async def test_the_whole_stack_describes_itself_for_those_who_use_it(directory: Path) -> None:
    async with Stack(directory, settings={"REPLICAS_ORDER": "2"}) as stack:
        described = json.loads((directory / "stack.json").read_text())
        assert described["admin"] == stack.admin
        assert described["gateway"] == described["services"]["gateway"]
        assert {"mongodbUrl", "amqpUrl", "redisUrl", "managementUrl", "checker"} <= described.keys()
        assert set(described["services"]) == set(NAMES)
        assert set(described["pids"]) == {*NAMES, "order-2", *SERVERS}
        async with aiohttp.ClientSession() as session:
            for url in described["replicas"].values():
                async with session.get(f"{url}/readyz") as ready:
                    assert ready.ok
            async with session.post(f"{described['gateway']}/auth/login", json=described["admin"]) as login:
                assert login.ok
    await nothing_is_left_of(directory)


async def test_servers_of_ones_own_are_used_as_they_are(tmp_path: Path) -> None:
    own = {
        "MONGODB_URL": "mongodb://db.example/?replicaSet=rs0",
        "AMQP_URL": "amqp://shop:pw@broker.example/",
        "REDIS_URL": "redis://cache.example/0",
    }
    async with Stack(tmp_path, settings=own, services=()) as stack:
        assert list(stack.processes) == []
        described = stack.description()
        assert [described[key] for key in ("mongodbUrl", "amqpUrl", "redisUrl")] == list(own.values())
        assert described["managementUrl"] == "http://shop:pw@broker.example:15672"


async def test_a_process_that_ends_while_it_is_waited_for_says_why(tmp_path: Path) -> None:
    processes = Processes(tmp_path)
    processes.start(Program("short", ["sh", "-c", "echo no such file; exit 1"], os.environ, tmp_path))

    async def ended() -> bool:
        return "short" not in processes

    await until(ended, within=10, what="the end of the process")
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

    await until(both_sleep, within=10, what="both children")
    await processes.stop(patience=0.2)
    psutil.wait_procs(children, timeout=5)
    assert not any(child.is_running() for child in children)


async def test_a_stranger_with_a_remembered_process_id_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "processes.json").write_text(json.dumps({"order": {"pid": os.getpid(), "created": 1.0}}))
    assert "order" not in Processes(tmp_path)


def test_the_next_port_is_taken_when_the_usual_one_is_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    with listening() as port:
        monkeypatch.setitem(DEFAULTS, "gateway", port)
        ports = Ports({})
        first, second = ports.take("gateway"), ports.take("gateway")
        assert port < first < second


def test_a_port_that_was_asked_for_is_never_silently_another() -> None:
    with listening() as port, pytest.raises(PortTakenError, match=f"PORT_GATEWAY={port}"):
        Ports({"PORT_GATEWAY": str(port)}).take("gateway")
