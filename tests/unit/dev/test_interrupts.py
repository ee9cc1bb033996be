"""Who is told to end cleans up after itself, whatever tells him, and is not disturbed in it."""

import signal
import subprocess
import sys
from textwrap import dedent

import pytest

from dev.interrupts import INTERRUPTED, SIGNALS

TOOL = """
    import sys
    from dev.interrupts import run
"""
BENCHMARK = """
    import sys
    from bench.running import run
"""
WORK = """
    import asyncio

    async def work():
        try:
            print("at work", flush=True)
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.3)
            print("cleaned up", flush=True)

    sys.exit(run(work()))
"""


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("program", [TOOL, BENCHMARK], ids=["a tool", "a benchmark"])
def test_who_is_interrupted_cleans_up(program: str, number: signal.Signals) -> None:
    code = dedent(program) + dedent(WORK)
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603  # ours
        assert process.stdout is not None
        assert process.stdout.readline() == "at work\n"
        for _ in range(2):  # impatience changes nothing
            process.send_signal(number)
        assert process.stdout.read() == "cleaned up\n"
    assert process.returncode == INTERRUPTED
