"""Servers that come back empty are given again what they need, without anybody's doing."""

import asyncio
import os
import shutil
import socket
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path

import aio_pika
import pytest
from pymongo import AsyncMongoClient
from pymongo.errors import OperationFailure

from dev.helm import ROOT
from dev.processes import Processes
from dev.servers import MongoDB
from dev.stack import Stack
from sagactl.polling import until
from sagactl.provision import keeping
from sagactl.provision.accounts import DATABASE_USERS, lacking_in_rabbitmq, provision_rabbitmq
from sagactl.provision.broker_rights import BROKER_USERS
from sagactl.provision.keeping import Upkeep
from sagactl.provision.management import administering
from services.shared.contract.events import EXCHANGE, NOTIFICATIONS, ORDERS, OrderPaid
from services.shared.contract.topology import Binding
from tests.integration.room import Room

MEMBER = ROOT / "charts/mongodb/files/member.sh"
WITHIN = 60.0


@pytest.fixture
def database(tmp_path: Path) -> MongoDB:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return MongoDB(tmp_path / "mongodb", [free.getsockname()[1]], password="pw", key="k" * 64)


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    running = Processes(tmp_path)
    yield running
    asyncio.run(running.stop())


def secrets(database: MongoDB, folder: Path) -> Path:
    """As the chart mounts them: a folder per user, and one of the administrator."""
    for user in DATABASE_USERS:
        (folder / "users" / user).mkdir(parents=True)
        (folder / "users" / user / "MONGODB_URL").write_text(database.url_of(user, f"pw-{user}"))
    (folder / "admin").mkdir()
    (folder / "admin/MONGODB_URL").write_text(database.url)
    (folder / "admin/keyfile").write_text(database.key)
    return folder


@asynccontextmanager
async def beside(command: Sequence[str | Path]) -> AsyncIterator[None]:
    """Runs what a release runs beside its server."""
    process = await asyncio.create_subprocess_exec(".venv/bin/python", "-m", *command, cwd=ROOT)
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def is_member(database: MongoDB) -> bool:
    """What the readiness probe says."""
    env = {"PORT": str(database.ports[0]), "PATH": os.environ["PATH"]}
    quiet = asyncio.subprocess.DEVNULL
    probe = await asyncio.create_subprocess_exec("bash", MEMBER, env=env, stderr=quiet)
    return await probe.wait() == 0


async def lets_in(database: MongoDB, user: str, password: str) -> bool:
    url = database.url_of(user, password)
    async with AsyncMongoClient[dict[str, object]](url, serverSelectionTimeoutMS=500) as client:
        try:
            await client[user].things.insert_one({})
        except OperationFailure:
            return False
    return True


async def is_whole(mark: Path) -> bool:
    return bool(await asyncio.to_thread(lambda: mark.exists() and mark.read_text()))


async def test_a_database_that_comes_back_empty_is_a_replica_set_with_its_users_again(
    tmp_path: Path, database: MongoDB, processes: Processes
) -> None:
    given, mark = secrets(database, tmp_path), tmp_path / "mark"
    [program] = database.programs()
    processes.start(program)
    assert not await is_member(database)
    admin = ("--admin", given / "admin/MONGODB_URL", "--key", given / "admin/keyfile")
    looking = ("--hosts", f"127.0.0.1:{database.ports[0]}", "--every", "1", "--mark", mark)
    async with beside(["sagactl.provision", "mongodb", "--users", given / "users", *admin, *looking]):
        await until(partial(is_whole, mark), within=WITHIN, what="everything to be made")
        assert await is_member(database)
        assert await lets_in(database, "order", "pw-order")

        await processes.kill(["mongodb"])
        shutil.rmtree(database.directory / "data")
        [program] = database.programs()
        processes.start(program)
        await until(
            partial(is_whole, mark), lambda whole: not whole, within=WITHIN, what="the loss to be seen"
        )
        await until(partial(is_whole, mark), within=WITHIN, what="everything to be made again")
        assert await is_member(database)
        assert await lets_in(database, "order", "pw-order")

        (given / "users/order/MONGODB_URL").write_text(database.url_of("order", "another"))
        await until(partial(lets_in, database, "order", "another"), within=WITHIN, what="the new password")


async def test_a_queue_or_a_binding_that_is_gone_is_made_again(
    servers: Stack, room: Room, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Of an event that several consume nobody else notices that it does not come to one of them."""
    url, passwords = servers.rabbitmq.management_url, servers.credentials.of(BROKER_USERS)
    upkeep = Upkeep(
        partial(provision_rabbitmq, url, passwords, room.name),
        partial(lacking_in_rabbitmq, url, BROKER_USERS, room.name),
    )
    mark = tmp_path / "mark"
    keeper = asyncio.create_task(keeping.keep(upkeep, [], 0.2, mark))
    try:
        await until(partial(is_whole, mark), within=WITHIN, what="the queues")
        async with room.broker() as channel:
            await channel.queue_delete(ORDERS)
        await until(partial(has_queue, room, ORDERS), within=WITHIN, what="the queue to be there again")
        await until(partial(is_whole, mark), within=WITHIN, what="its bindings")
        paid = Binding(EXCHANGE, NOTIFICATIONS, OrderPaid.type)
        async with administering(url, room.name) as broker:
            way = f"bindings/{broker.room}/e/{paid.exchange}/q/{paid.queue}/{paid.key}"
            await broker.delete(way)
            await until(broker.bindings, lambda found: paid in found, within=WITHIN, what="the binding")
        assert (
            "incomplete: the binding of notifications to saga.events by ORDER_PAID" in capfd.readouterr().err
        )
    finally:
        keeper.cancel()
        with suppress(asyncio.CancelledError):
            await keeper


async def has_queue(room: Room, name: str) -> bool:
    async with room.broker() as channel:
        try:
            await channel.declare_queue(name, passive=True)
        except aio_pika.exceptions.ChannelNotFoundEntity:
            return False
    return True
