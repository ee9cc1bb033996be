"""One simulation, from its seed to its findings."""

import logging
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

from opentelemetry.trace import NoOpTracer

from dev.simulate.clock import VirtualLoop
from dev.simulate.history import History
from dev.simulate.shop import Run, Shop
from services.order.model import Order
from services.shared import telemetry

# Of one shop.
ORDERS: Final = 60


class Result(NamedTuple):
    run: Run
    findings: list[str]
    # The faults that happened.
    fired: list[str]
    history: list[str]
    sagas: int
    steps: int


def simulate_seed(seed: str) -> Result:
    """One of many, in a process of its own."""
    return simulate(Run(seed, ORDERS))


def simulate(run: Run, *, history: bool = False, kind: type[Shop] = Shop) -> Result:
    """Runs a shop of that kind to its end. With `history` the result says step by step what happened."""
    loop = VirtualLoop()
    with _all_to_itself(run.seed):
        shop = kind(run, written := History(kept=history))
        try:
            findings = loop.run(shop.run(), lambda: bool(shop.judge.found)) or shop.judge.found or loop.errors
        except Exception as error:  # noqa: BLE001  # whatever it is, it is what was found
            findings = [f"{type(error).__name__}: {error}"]
        finally:
            loop.close()
    sagas = len(shop.judge.all("order", Order))
    return Result(run, findings, shop.dice.fired, written.lines, sagas, loop.steps)


@contextmanager
def _all_to_itself(seed: str) -> Iterator[None]:
    """What is drawn from the process-wide generator comes from the seed, and nothing is logged meanwhile.

    Nor traced: ids of spans are drawn from that generator, too.
    """
    before, tracer = random.getstate(), telemetry._tracer  # noqa: SLF001  # whatever set up traces here before
    random.seed(seed)
    logging.disable(logging.CRITICAL)
    telemetry._tracer = NoOpTracer()  # noqa: SLF001
    try:
        yield
    finally:
        telemetry._tracer = tracer  # noqa: SLF001
        logging.disable(logging.NOTSET)
        random.setstate(before)
