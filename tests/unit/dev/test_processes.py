"""What is remembered of processes that were started."""

import asyncio
import os
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from dev.processes import Processes, Program
from sagactl.polling import until


async def test_a_process_whose_kill_is_not_waited_for_has_not_ended_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`make chaos` ends a fault while it kills: what was killed is started again, and is nobody's failure."""
    processes = Processes(tmp_path)
    processes.start(
        Program("sleeper", [sys.executable, "-c", "import time; time.sleep(60)"], os.environ, tmp_path)
    )
    (started,) = processes.started.values()
    waiting = asyncio.Event()

    async def takes_its_time(*_: object, **__: object) -> None:
        waiting.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(Processes, "_ended", takes_its_time)
    killing = asyncio.create_task(processes.kill(["sleeper"]))
    await waiting.wait()
    killing.cancel()
    with suppress(asyncio.CancelledError):
        await killing
    assert started.handle is not None
    await asyncio.to_thread(started.handle.wait, 10)
    assert not processes.ended
    assert not [*Processes(tmp_path).started]


@pytest.mark.parametrize(("code", "was_killed"), [("os.kill(os.getpid(), 9)", True), ("os._exit(1)", False)])
async def test_who_was_killed_is_told_from_who_ended_otherwise(
    tmp_path: Path, code: str, *, was_killed: bool
) -> None:
    processes = Processes(tmp_path)
    processes.start(Program("brief", [sys.executable, "-c", f"import os; {code}"], os.environ, tmp_path))

    async def ended() -> bool:
        return "brief" in processes.ended

    await until(ended, within=30, what="its end")
    assert processes.ended["brief"].was_killed is was_killed
