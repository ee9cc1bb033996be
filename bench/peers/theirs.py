"""The peers: each on a PostgreSQL of its own, with the same books."""

import os
import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

import sqlalchemy as sa

from bench import meter
from bench.load import Saga, Site
from bench.meter import Usage
from bench.peers import store
from bench.peers.books import TOLD, Books, Kept, Stock
from bench.peers.postgres import PostgreSQL
from bench.peers.temporal_server import STORES, TemporalServer
from bench.shop import CUSTOMERS, PLENTY, PRODUCTS
from dev.ports import Ports
from dev.processes import Processes, Program
from dev.readiness import until_ok
from dev.services import REPOSITORY

PRICE_MINOR: Final = 1999
# As the shop of ours has them: uvicorn, uvloop, httptools, no line of log for each request.
SERVER: Final = ("-m", "uvicorn", "--log-level", "warning", "--no-access-log", "--host", "127.0.0.1")


class Theirs(NamedTuple):
    processes: Processes
    engine: sa.Engine
    urls: Sequence[str]

    @property
    def site(self) -> Site:
        # Nobody is asked who they are: a token is sent all the same, and is not looked at.
        tokens = [f"customer-{number}" for number in range(CUSTOMERS)]
        return Site(self.urls, tokens, _product_ids())

    def usage(self) -> Usage:
        return meter.usage(self.processes)

    async def settled(self) -> int:
        with self.engine.connect() as books:
            final = sa.select(sa.func.count()).where(store.orders.c.status.in_(TOLD))
            told = sa.select(sa.func.count()).select_from(store.notifications)
            return int(min(books.execute(final).scalar_one(), books.execute(told).scalar_one()))

    async def sagas(self, ids: Sequence[str]) -> list[Saga]:
        wanted = set(ids)
        with self.engine.connect() as books:
            rows = books.execute(sa.select(store.orders)).all()
        return [
            Saga((row.updated_at - row.created_at).total_seconds(), row.updated_at.timestamp())
            for row in rows
            if row.id in wanted
        ]

    async def books(self) -> Books:
        money: defaultdict[str, list[int]] = defaultdict(list)
        told: defaultdict[str, list[str]] = defaultdict(list)
        with self.engine.connect() as books:
            stock = {
                row.id: Stock(row.initial, row.available, row.reserved, row.sold)
                for row in books.execute(sa.select(store.products))
            }
            orders = {
                row.id: Kept(row.status, dict(row.lines), row.total)
                for row in books.execute(sa.select(store.orders))
            }
            for row in books.execute(sa.select(store.ledger)):
                if row.status == "captured":
                    money[row.order_id].append(row.amount)
            for row in books.execute(sa.select(store.notifications)):
                told[row.order_id].append(row.kind)
        return Books(stock, orders, money, told)


@asynccontextmanager
async def on_dbos(processes: int, directory: Path) -> AsyncIterator[Theirs]:
    with Ports({}, at_random=True) as ports:
        postgres = PostgreSQL(directory, ports.take("postgresql"))
        async with _stocked(postgres) as theirs:
            environment = {"DATABASE_URL": postgres.url}
            yield await _served(theirs, "bench.peers.on_dbos:app", environment, ports, processes)


@asynccontextmanager
async def on_temporal(
    programs: Path,
    processes: int,
    workflow: str,
    directory: Path,
) -> AsyncIterator[Theirs]:
    with Ports({}, at_random=True) as ports:
        postgres = PostgreSQL(directory, ports.take("postgresql"))
        server = TemporalServer.placed(programs, directory, ports, postgres)
        async with _stocked(postgres, *STORES) as theirs:
            server.install()
            theirs.processes.start(server.program())
            await server.until_ready()
            environment = {
                "DATABASE_URL": postgres.url,
                "TEMPORAL_ADDRESS": server.address,
                "WORKFLOW": workflow,
            }
            for number in range(1, processes + 1):
                worker = _python(f"worker-{number}", ["-m", "bench.peers.temporal_worker"], environment)
                theirs.processes.start(worker)
            yield await _served(theirs, "bench.peers.temporal_api:app", environment, ports, 1)


@asynccontextmanager
async def _stocked(postgres: PostgreSQL, *databases: str) -> AsyncIterator[Theirs]:
    """A fresh PostgreSQL with the shop's books in it. What else is started ends with it."""
    postgres.directory.mkdir(parents=True, exist_ok=True)
    processes = Processes(postgres.directory)
    await processes.stop()  # what a run that was killed left there
    engine = sa.create_engine(postgres.url)
    try:
        processes.start(postgres.program())
        await postgres.create("shop", *databases)
        store.metadata.create_all(engine)
        with engine.begin() as books:
            books.execute(
                sa.insert(store.products).values(
                    price=PRICE_MINOR, initial=PLENTY, available=PLENTY, reserved=0, sold=0
                ),
                [{"id": id_} for id_ in _product_ids()],
            )
        yield Theirs(processes, engine, ())
    finally:
        engine.dispose()
        await processes.stop([name for name in processes if name != "postgresql"])
        await processes.stop()


async def _served(
    theirs: Theirs, app: str, environment: Mapping[str, str], ports: Ports, processes: int
) -> Theirs:
    """By so many processes, each with a port of its own."""
    names = [f"shop-{number}" for number in range(1, processes + 1)]
    for name in names:
        arguments = [*SERVER, "--port", str(ports.take(name)), app]
        theirs.processes.start(_python(name, arguments, {**environment, "PROCESS": name}))
    urls = [f"http://127.0.0.1:{ports.take(name)}" for name in names]
    for name, url in zip(names, urls, strict=True):
        await until_ok(f"{url}/openapi.json", partial(theirs.processes.check, name))
    return theirs._replace(urls=urls)


def _python(name: str, arguments: Sequence[str], environment: Mapping[str, str]) -> Program:
    return Program(name, [sys.executable, *arguments], {**os.environ, **environment}, REPOSITORY)


def _product_ids() -> list[str]:
    return [f"product-{number}" for number in range(PRODUCTS)]
