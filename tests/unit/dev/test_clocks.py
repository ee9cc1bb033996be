"""A clock that is told to step does, and what has passed does not."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dev.faults.clocks import Clocks

ASKS = "import time; print(time.time(), time.monotonic())"


@pytest.mark.parametrize("step", [0, 90, -3600])
def test_the_wall_clock_of_a_service_is_off_and_the_monotonic_one_is_not(tmp_path: Path, step: int) -> None:
    clocks = Clocks(tmp_path)
    environment = {**os.environ, **clocks.environment("order")}
    clocks.step("order", step)
    said = subprocess.run([sys.executable, "-c", ASKS], env=environment, check=True, capture_output=True)  # noqa: S603  # our own words
    wall, monotonic = map(float, said.stdout.split())
    assert wall == pytest.approx(time.time() + step, abs=30)
    assert monotonic == pytest.approx(time.monotonic(), abs=30)


def test_the_clock_of_another_service_is_right(tmp_path: Path) -> None:
    clocks = Clocks(tmp_path)
    clocks.environment("payment")
    clocks.step("order", 90)
    assert (tmp_path / "payment").read_text() == "+0"
