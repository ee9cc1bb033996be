"""Whether memory stays flat: many orders at a steady rate, and what each process holds meanwhile."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Final, NamedTuple

from rich.console import Console
from rich.table import Table

from bench import meter
from bench.load import Load, offer, until_settled
from bench.shop import Shop
from dev.stack import SERVERS, Stack

SAMPLE_SECONDS: Final = 2.0
PRINT_SECONDS: Final = 10.0
# Of all samples: what is loaded, cached and pooled once.
WARM_UP_SHARE: Final = 0.1
GROWTH_ALLOWED_PERCENT: Final = 10.0


class Growth(NamedTuple):
    """Of one process: the average of the first and of the last third (MiB)."""

    name: str
    first: float
    last: float

    @property
    def percent(self) -> float:
        return 100 * (self.last - self.first) / self.first

    @property
    def is_too_much(self) -> bool:
        """Servers keep data, in caches up to bounds of their own: what grows there is shown, not judged."""
        return self.name not in SERVERS and self.percent > GROWTH_ALLOWED_PERCENT


async def soak(shop: Shop, load: Load) -> bool:
    """Places the orders through the gateway and returns whether every service's memory stayed flat.

    Raises NotInTimeError when orders get stuck.
    """
    samples: list[Mapping[str, float]] = []
    watching = asyncio.create_task(_watch(shop.stack, samples, shop.console))
    try:
        offered = await offer(shop.site(shop.stack.gateway), load)
        await until_settled(shop.orders)
    finally:
        watching.cancel()
    shop.console.print(f"{len(offered.ids)} orders settled, {len(offered.refusals)} were refused")
    found = growth(samples)
    shop.console.print(_table(found))
    return not any(each.is_too_much for each in found)


def growth(samples: Sequence[Mapping[str, float]]) -> list[Growth]:
    """Of each process, once it is warm. Raises ValueError when there are too few samples to tell."""
    warm = samples[int(len(samples) * WARM_UP_SHARE) :]
    third = len(warm) // 3
    if not third:
        raise ValueError(f"{len(samples)} samples are too few: more orders, or fewer per second")
    return [
        Growth(name, fmean(each[name] for each in warm[:third]), fmean(each[name] for each in warm[-third:]))
        for name in warm[0]
    ]


async def _watch(stack: Stack, samples: list[Mapping[str, float]], console: Console) -> None:
    started = printed = time.perf_counter()
    while True:
        resident = meter.usage(stack).resident_mib
        samples.append(resident)
        if time.perf_counter() - printed >= PRINT_SECONDS:
            printed = time.perf_counter()
            cells = "  ".join(f"{name} {mib:.0f}" for name, mib in resident.items())
            console.print(f"{printed - started:5.0f} s, MiB: {cells}")
        await asyncio.sleep(SAMPLE_SECONDS)


def _table(found: Sequence[Growth]) -> Table:
    table = Table(title="Resident memory (MiB): averages of the first and of the last third, once warm")
    for heading in ("", "first", "last", "growth", ""):
        table.add_column(heading, justify="right" if heading else "left")
    for each in found:
        kind = "a server's own bounds" if each.name in SERVERS else ""
        table.add_row(
            each.name,
            f"{each.first:.1f}",
            f"{each.last:.1f}",
            f"{each.percent:+.1f} %",
            "TOO MUCH" if each.is_too_much else kind,
        )
    return table
