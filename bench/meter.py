"""What a stack has used: CPU and memory of each process, messages published, transactions committed."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from typing import NamedTuple

import aiohttp
import psutil
from prometheus_client.parser import text_string_to_metric_families

from dev.stack import Stack

PUBLISHED = "sagashop_published_total"
TRANSACTIONS = "sagashop_transactions_total"


class Reading(NamedTuple):
    """Totals since the processes started."""

    cpu_seconds: Mapping[str, float]
    resident_mib: Mapping[str, float]
    published: float
    transactions: float


async def read(stack: Stack) -> Reading:
    totals: defaultdict[str, float] = defaultdict(float)
    async with aiohttp.ClientSession() as session:
        urls = [replica.url for replica in stack.replicas]
        for counts in await asyncio.gather(*(_counters(session, f"{url}/metrics") for url in urls)):
            for name, count in counts.items():
                totals[name] += count
    cpu, memory = _processes(stack)
    return Reading(cpu, memory, totals[PUBLISHED], totals[TRANSACTIONS])


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


def _processes(stack: Stack) -> tuple[dict[str, float], dict[str, float]]:
    cpu: dict[str, float] = {}
    memory: dict[str, float] = {}
    for name in stack.processes:
        parent = psutil.Process(stack.processes.pid(name))
        family = [parent, *parent.children(recursive=True)]
        times = [process.cpu_times() for process in family]
        cpu[name] = sum(each.user + each.system for each in times)
        memory[name] = sum(process.memory_info().rss for process in family) / 2**20
    return cpu, memory
