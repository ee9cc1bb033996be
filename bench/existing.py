"""Whether an order costs more where there are many already: beside an empty shop, in turns, in one run."""

from collections.abc import Sequence
from statistics import fmean
from typing import Final, NamedTuple

from rich.table import Table

from bench.load import Load
from bench.past import fill
from bench.report import Measured
from bench.shop import Shop

TURNS: Final = 5
MORE_ALLOWED: Final = 0.1


class Comparison(NamedTuple):
    """The turns of both shops, in which they had the same load."""

    empty: Sequence[Measured]
    full: Sequence[Measured]

    @property
    def more_cpu(self) -> float:
        """By which part of itself an order's CPU time is more in the full shop."""
        return _cpu_ms(self.full) / _cpu_ms(self.empty) - 1

    @property
    def is_too_much(self) -> bool:
        return self.more_cpu > MORE_ALLOWED

    def table(self) -> Table:
        table = Table(title="Cost of one order, in turns: an empty shop, and a shop with many orders")
        for heading in ("", "orders/s", "CPU ms", "of which mongod"):
            table.add_column(heading, justify="right" if heading else "left")
        for name, turns in (("empty", self.empty), ("full", self.full)):
            for turn in turns:
                mongod = turn.cpu_ms_per_order["mongodb"]
                table.add_row(
                    name,
                    f"{turn.settled_per_second:.0f}",
                    f"{sum(turn.cpu_ms_per_order.values()):.2f}",
                    f"{mongod:.2f}",
                )
        return table

    def __str__(self) -> str:
        faster = _per_second(self.full) / _per_second(self.empty)
        kept = "TOO MUCH" if self.is_too_much else "as promised"
        return (
            f"the stored orders change the CPU time of an order by {self.more_cpu:+.1%}: {kept} "
            f"(<= {MORE_ALLOWED:+.0%}); {faster:.2f} times the orders per second"
        )


async def compare(empty: Shop, full: Shop, existing: int, load: Load) -> Comparison:
    """Fills the full shop up to `existing` orders, then gives both the load in turns."""
    await fill(full.mongo, existing, full.console)
    shops = {"empty": empty, "full": full}
    for name, shop in shops.items():
        await shop.measure(f"{name}, warm-up", shop.direct, load)
    turns: dict[str, list[Measured]] = {name: [] for name in shops}
    for number in range(1, TURNS + 1):
        # Whoever is first in one turn is second in the next.
        for name in sorted(shops, reverse=bool(number % 2)):
            measured = await shops[name].measure(f"{name}, turn {number}", shops[name].direct, load)
            turns[name].append(measured)
    return Comparison(**turns)


def _cpu_ms(turns: Sequence[Measured]) -> float:
    return fmean(sum(turn.cpu_ms_per_order.values()) for turn in turns)


def _per_second(turns: Sequence[Measured]) -> float:
    return fmean(turn.settled_per_second for turn in turns)
