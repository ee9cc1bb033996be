"""Flame graphs of what does not let itself be looked at."""

import subprocess
import sys
from pathlib import Path

import pytest

from bench.flame import FlameError, sampled


def over() -> int:
    """The id of a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        return process.pid


async def test_a_process_that_cannot_be_looked_into_is_named(tmp_path: Path) -> None:
    with pytest.raises(FlameError, match="nothing of order: it needs root"):
        async with sampled({"order": over()}, tmp_path / "flames"):
            pass
