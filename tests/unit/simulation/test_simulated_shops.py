"""The engine and the rules of all services, two replicas each, on servers in memory that fail by a seed."""

import asyncio
import os
import subprocess
import sys
from typing import Final

import pytest
from opentelemetry.sdk.trace import TracerProvider

from dev.simulate.clock import Process, VirtualLoop
from dev.simulate.dice import Fault
from dev.simulate.history import History
from dev.simulate.running import simulate
from dev.simulate.shop import Run, Shop
from services.order.commands import CancelOrder
from services.shared import telemetry
from services.shared.contract.decisions import Unavailable

ORDERS: Final = 40
SHOPS: Final = 10


def test_whatever_fails_every_order_ends_and_every_event_has_its_effect_once() -> None:
    faults = set[str]()
    for seed in range(SHOPS):
        result = simulate(Run(f"unit.{seed}", ORDERS))
        assert not result.findings, f"make simulate SEED={result.run.seed}"
        assert result.sagas
        faults |= {name.split(": ")[1] for name in result.fired}
    assert len(faults) > len(Fault) * 2 / 3


def test_a_command_that_comes_before_the_database_has_told_the_time_is_refused() -> None:
    """It would be decided by the clock of a machine, which here is months ahead."""

    async def ask() -> None:
        replica = Shop(Run("starting", ORDERS), History(kept=False)).replicas[0]
        replica.reaches_database = False
        replica.start()
        with pytest.raises(Unavailable, match="starting") as told:
            await replica.execute(CancelOrder(order_id="1", customer_id=None), "cancel")
        assert not told.value.unknown

    VirtualLoop().run(ask(), lambda: False)


def test_a_process_that_stands_still_ends_with_its_simulation() -> None:
    """What it was about to do when it was stopped is in no timer any more."""

    async def stop() -> None:
        process = Process("stopped")
        process.spawn(asyncio.sleep(1))
        await asyncio.sleep(0.5)
        process.stall()
        await asyncio.sleep(5)

    VirtualLoop().run(stop(), lambda: False)


HISTORY: Final = """
from hashlib import sha256
from dev.simulate.running import simulate
from dev.simulate.shop import Run
result = simulate(Run("again", 20), history=True)
print(len(result.fired), result.steps, sha256("\\n".join(result.history).encode()).hexdigest())
"""


def test_the_same_seed_is_the_same_history_to_the_last_step() -> None:
    """Also in another process, where sets have another order."""
    said = {
        subprocess.run(  # noqa: S603  # ourselves
            [sys.executable, "-c", HISTORY],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(said) == 1, said


def test_what_its_process_traces_is_not_in_the_history(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service's app that was started there before, say: ids of spans are drawn from the same generator."""
    untraced = simulate(Run("traced", 10), history=True)
    monkeypatch.setattr(telemetry, "_tracer", TracerProvider().get_tracer("sagashop"))
    assert simulate(Run("traced", 10), history=True) == untraced
