"""What a stack has used: CPU and memory of each process, messages published, commits."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import aiohttp
import psutil
from prometheus_client.parser import text_string_to_metric_families
from pymongo import AsyncMongoClient

from dev.processes import Processes
from dev.stack import Stack

PUBLISHED: Final = "sagashop_published_total"
REQUESTS: Final = "sagashop_http_request_duration_seconds_count"
TRANSACTIONS: Final = "sagashop_transactions_total"
# Databases of MongoDB itself.
SERVERS_OWN: Final = frozenset({"admin", "config", "local"})


class Usage(NamedTuple):
    """Of each process and its children, since they started."""

    cpu_seconds: Mapping[str, float]
    resident_mib: Mapping[str, float]


class Counts(NamedTuple):
    """Totals since the processes started."""

    published: float
    # Committed, as the services count them.
    transactions: float
    # Committed, as mongod counts them.
    mongod_transactions: float
    # What waited for its write concern, as mongod counts it: transactions, and the writes beside the engine
    # (published rows deleted, the payment gateway's ledger, intents of effects).
    commits: float


class Reading(NamedTuple):
    usage: Usage
    counts: Counts


class Stored(NamedTuple):
    """Of a collection."""

    documents: int
    # With its indexes, as they lie on the disk.
    mib: float


def usage(running: Processes) -> Usage:
    cpu: dict[str, float] = {}
    memory: dict[str, float] = {}
    for name in running:
        family = _family(running, name)
        cpu[name] = sum(map(_cpu_seconds, family))
        memory[name] = sum(process.memory_info().rss for process in family) / 2**20
    return Usage(cpu, memory)


def _cpu_seconds(process: psutil.Process) -> float:
    """With those of its children that have ended: PostgreSQL has many that live for a moment."""
    times = process.cpu_times()
    return float(times.user + times.system + times.children_user + times.children_system)


def descriptors(running: Processes) -> Mapping[str, float]:
    """Of each process and its children: files and connections that are open."""
    return {name: sum(process.num_fds() for process in _family(running, name)) for name in running}


def _family(running: Processes, name: str) -> list[psutil.Process]:
    parent = psutil.Process(running.pid(name))
    return [parent, *parent.children(recursive=True)]


async def stored(client: AsyncMongoClient[dict[str, Any]]) -> Mapping[str, Stored]:
    """Of each collection of the services, by its full name."""
    found: dict[str, Stored] = {}
    for database in sorted({*await client.list_database_names()} - SERVERS_OWN):
        for collection in sorted(await client[database].list_collection_names()):
            stages = await client[database][collection].aggregate([{"$collStats": {"storageStats": {}}}])
            async for found_here in stages:
                stats = found_here["storageStats"]
                size = stats["storageSize"] + stats["totalIndexSize"]
                found[f"{database}.{collection}"] = Stored(stats["count"], size / 2**20)
    return found


async def counts(stack: Stack, client: AsyncMongoClient[dict[str, Any]]) -> Counts:
    totals: defaultdict[str, float] = defaultdict(float)
    async with aiohttp.ClientSession() as session:
        urls = [replica.url for replica in stack.replicas]
        for found in await asyncio.gather(*(_counters(session, f"{url}/metrics") for url in urls)):
            for name, count in found.items():
                totals[name] += count
    status = await client.admin.command("serverStatus")
    return Counts(
        published=totals[PUBLISHED],
        transactions=totals[TRANSACTIONS],
        mongod_transactions=status["transactions"]["totalCommitted"],
        commits=status["metrics"]["getLastError"]["wtime"]["num"],
    )


async def requests(stack: Stack) -> Mapping[str, float]:
    """By service, the requests that it has answered since it was started; this one asks for metrics, too."""
    totals: defaultdict[str, float] = defaultdict(float)
    async with aiohttp.ClientSession() as session:
        for replica in stack.replicas:
            async with session.get(f"{replica.url}/metrics") as response:
                response.raise_for_status()
                for family in text_string_to_metric_families(await response.text()):
                    totals[replica.service] += sum(
                        sample.value for sample in family.samples if sample.name == REQUESTS
                    )
    return totals


async def _counters(session: aiohttp.ClientSession, url: str) -> Mapping[str, float]:
    async with session.get(url) as response:
        response.raise_for_status()
        text = await response.text()
    found: defaultdict[str, float] = defaultdict(float)
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == PUBLISHED or (
                sample.name == TRANSACTIONS and sample.labels["result"] == "committed"
            ):
                found[sample.name] += sample.value
    return found
