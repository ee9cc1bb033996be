"""The alert drill: three faults in a shop under orders, each with its alert, its page, and its end.

A real Prometheus and Alertmanager watch the shop by the chart's rules and `docs/alertmanager.yaml`, in which
minutes are seconds. For each fault the alert has to arrive where it should, the commands on its runbook have
to show what they promise, and once it is mended the alert has to resolve. In the end the books must be sound.
"""

import asyncio
import os
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final

from rich.console import Console

from dev import runbooks
from dev.alert_drill.scenes import SCENES, Scene
from dev.alert_drill.watchers import FIRING, RESOLVED, Pager, watching
from dev.interrupts import run as run_to_the_end
from dev.prometheus import NotThereError
from dev.services import REPOSITORY
from dev.survive.site import PRODUCTS, Site, opened
from sagactl.polling import NotInTimeError
from sagactl.screen import printable

DIRECTORY: Final = Path(os.environ.get("STACK_DIR", ".run")) / "alert-drill"
ORDERS_PER_SECOND: Final = 10.0
# What is missing has to have been there: Prometheus scrapes all of it several times.
WARM_UP_SECONDS: Final = 10.0
# No alert of these waits longer than 5 min, here 5 s; what it looks back on is at most 15 min.
ARRIVES_WITHIN: Final = 60.0
RESOLVES_WITHIN: Final = 90.0
SHOWN_LINES: Final = 6
# 0: nothing is wrong; 1: something is.
ANSWERS: Final = (0, 1)
console: Final = Console(width=None if sys.stdout.isatty() else 140)


class DrillError(Exception):
    """Something did not go as its page says."""


async def drill() -> int:
    """All scenes in one shop; returns the exit code."""
    began = time.monotonic()
    say = partial(console.print, highlight=False, soft_wrap=True, style="dim")
    try:
        async with (
            opened(
                DIRECTORY, {}, products=PRODUCTS, rate=ORDERS_PER_SECOND, seed="drill", short=True, say=say
            ) as site,
            watching(site.stack, DIRECTORY / "watchers") as pager,
        ):
            async with site.traffic.flowing(ORDERS_PER_SECOND):
                await asyncio.sleep(WARM_UP_SECONDS)
                for scene in SCENES:
                    await _play(scene, site, pager)
            await _typed(
                ["sagactl", "check"], "", answers=(0,)
            )  # what every page ends with; it waits for rest
            await _typed(["sagactl", "status"], "", answers=(0,))
    except (DrillError, NotInTimeError, NotThereError) as error:
        console.print(f"[red]{printable(str(error))}[/]\n[dim]logs: {DIRECTORY}[/]", highlight=False)
        return 1
    count, seconds = len(SCENES), time.monotonic() - began
    console.print(
        f"[green]{count} faults, {count} alerts, all resolved[/] ({seconds:.0f} s)", highlight=False
    )
    return 0


async def _play(scene: Scene, site: Site, pager: Pager) -> None:
    """Raises DrillError and NotInTimeError."""
    console.print(f"[bold]{scene.alert}[/]: {scene.says}", highlight=False)
    earlier, began = len(pager.rung), time.monotonic()
    await scene.hurt(site)
    receiver = await pager.is_told(scene.alert, FIRING, within=ARRIVES_WITHIN)
    _say(f"arrived at {receiver}", began)
    if receiver != scene.calls:
        raise DrillError(f"{scene.alert} went to {receiver}, not to {scene.calls}")
    for command, word in _commands(scene):
        await _typed(command, word)
    began = time.monotonic()
    if scene.mend is not None:
        await scene.mend(site)
    await pager.is_told(scene.alert, RESOLVED, within=RESOLVES_WITHIN)
    _say("resolved", began)
    if beside := scene.silent.intersection(pager.rung[earlier:]):
        raise DrillError(f"told beside {scene.alert}, from which it follows: {', '.join(sorted(beside))}")


def _say(what: str, since: float) -> None:
    console.print(f"  {what} after {time.monotonic() - since:.0f} s", highlight=False)


def _commands(scene: Scene) -> Iterator[tuple[list[str], str]]:
    """Of its page, in the page's order. Raises DrillError where the page has one no longer."""
    wanted = dict(scene.typed)
    for command in runbooks.commands(runbooks.page_of(scene.alert)):
        begins = next((each for each in wanted if " ".join(command).startswith(each)), None)
        if begins is not None:
            yield [scene.words.get(word, word) for word in command], wanted.pop(begins)
    if wanted:
        raise DrillError(f"the page of {scene.alert} does not say: {', '.join(wanted)}")


async def _typed(command: list[str], word: str, answers: tuple[int, ...] = ANSWERS) -> None:
    """Runs it in the drill's shop. Raises DrillError where it fails, or does not say the word."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", *command),
        cwd=REPOSITORY,
        env={**os.environ, "STACK_DIR": str(DIRECTORY.absolute()), "COLUMNS": "160"},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said = (await process.communicate())[0].decode(errors="replace")
    console.print(f"  $ {' '.join(command)}", markup=False, highlight=False)
    if process.returncode not in answers or word not in said:
        raise DrillError(f"`{' '.join(command)}` ended with {process.returncode}, `{word}` expected: {said}")
    for line in said.strip().splitlines()[:SHOWN_LINES]:
        console.print(
            f"    {printable(line)}", style="dim", highlight=False, no_wrap=True, overflow="ellipsis"
        )


if __name__ == "__main__":
    raise SystemExit(run_to_the_end(drill()))
