"""One tortured shop, from its seed to its findings."""

from typing import NamedTuple

from dev.simulate.running import simulate
from dev.simulate.shop import Run
from dev.torture.shop import TorturedShop


class Tortured(NamedTuple):
    seed: str
    orders: int
    faults: int
    findings: list[str]


def torture(run: Run) -> Tortured:
    """One of many, in a process of its own: which finds this by its name, and nothing in a `__main__`."""
    result = simulate(run, kind=TorturedShop)
    return Tortured(run.seed, result.sagas, len(result.fired), result.findings)
