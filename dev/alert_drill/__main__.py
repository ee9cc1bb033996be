"""The alert drill: faults in a shop under orders, each with its alert, its page, and its end.

A real Prometheus and Alertmanager watch the shop by the chart's rules and `docs/alertmanager.yaml`, in which
minutes are seconds. For each fault the alert has to arrive where it should, the commands on its runbook have
to show what they promise, and once it is mended the alert has to resolve. In the end the books must be sound.
"""

import asyncio
import os
import sys
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Final, NamedTuple

import typer
from rich.console import Console

from dev import runbooks
from dev.alert_drill.cluster import KubectlError
from dev.alert_drill.faults import Words
from dev.alert_drill.keyboard import Keyboard, NoClusterError, sizes_of_logs
from dev.alert_drill.scenes import SCENES, Scene
from dev.alert_drill.shop import Shop, opened_shop
from dev.alert_drill.watchers import FIRING, RESOLVED, Pager, watching
from dev.debian import NotThereError
from dev.interrupts import run as run_to_the_end
from sagactl.polling import NotInTimeError
from sagactl.screen import printable

DIRECTORY: Final = Path(os.environ.get("STACK_DIR", ".run")) / "alert-drill"
ORDERS_PER_SECOND: Final = 10.0
# What is missing has to have been there: Prometheus scrapes all of it several times.
WARM_UP_SECONDS: Final = 10.0
# What followed from the fault before.
QUIET_WITHIN: Final = 180.0
# Of whoever logs in, and of the administrator, while what followed from a fault is worked off.
PATIENCE_SECONDS: Final = 60.0
# What a payment gateway that was away is asked for again, at the latest a minute after the last time.
REST_WITHIN: Final = 180.0
# Status tells of the last half minute.
TOLD_WITHIN_SECONDS: Final = 60.0
AGAIN_SECONDS: Final = 5.0
SHOWN_LINES: Final = 6
# Of sagactl: nothing is wrong; something is; something moves, or is to be done; a server that was asked is
# down; it was told to end. Of RabbitMQ: there is an alarm.
ANSWERS: Final = (0, 1, 3, 4, 69, 130)
console: Final = Console(width=None if sys.stdout.isatty() else 140)


class DrillError(Exception):
    """Something did not go as its page says."""


async def drill(scenes: Sequence[Scene]) -> int:
    """All of them in one shop; returns the exit code."""
    began = time.monotonic()
    say = partial(console.print, highlight=False, soft_wrap=True, style="dim")
    failures: list[str] = []
    marked: list[str] = []
    try:
        async with (
            opened_shop(
                DIRECTORY, ORDERS_PER_SECOND, say, with_operator=any(each.by_operator for each in scenes)
            ) as shop,
            watching(
                shop.site.stack,
                DIRECTORY / "watchers",
                ages=True,
                more=[shop.cluster.scraped] if shop.cluster else [],
            ) as pager,
        ):
            async with shop.site.traffic.flowing(ORDERS_PER_SECOND):
                await asyncio.sleep(WARM_UP_SECONDS)
                for scene in scenes:
                    ended = await _play(scene, shop, pager)
                    failures += ended.failures
                    marked += [ended.words["ORDER"]] if scene.marks else []
            keyboard = Keyboard(shop, {}, {})
            known = "".join(f" --expect {order}" for order in marked)
            # What every page ends with. The first waits for rest, the second still tells of marked orders.
            await _typed(keyboard, f"sagactl check --wait {REST_WITHIN:g}{known}", "", answers=(0,))
            await _typed_until(keyboard, "sagactl status", answers=(0, 1) if marked else (0,))
    except (DrillError, KubectlError, NotInTimeError, NotThereError) as error:
        failures.append(str(error))
    for failure in failures:
        console.print(f"[red]{printable(failure)}[/]", highlight=False)
    if failures:
        console.print(f"[dim]logs: {DIRECTORY}[/]")
        return 1
    count, seconds = len(scenes), time.monotonic() - began
    console.print(
        f"[green]{count} faults, {count} alerts, all resolved[/] ({seconds:.0f} s)", highlight=False
    )
    return 0


class _Ended(NamedTuple):
    # What the page's words in capitals were.
    words: Words
    failures: list[str]


async def _play(scene: Scene, shop: Shop, pager: Pager) -> _Ended:
    """To its end, also where not all of it goes as the page says. Raises NotInTimeError."""
    failures: list[str] = []
    console.print(f"[bold]{scene.alert}[/]: {scene.says}", highlight=False)
    await pager.is_silent([scene.alert], within=QUIET_WITHIN)
    await shop.site.log_in(PATIENCE_SECONDS)
    earlier, began, sizes = len(pager.rung), time.monotonic(), sizes_of_logs(shop)
    async with scene.during(shop) as words:
        try:
            receiver = await pager.is_told(scene.alert, FIRING, within=scene.arrives_within)
        except NotInTimeError as late:
            failures.append(str(late))
            return _Ended(words, failures)
        _say(f"arrived at {receiver}", began)
        if receiver != scene.calls:
            failures.append(f"{scene.alert} went to {receiver}, not to {scene.calls}")
        keyboard = Keyboard(shop, words, sizes)
        for command, word in _commands(scene):
            try:
                await _typed(keyboard, command, words.get(word, word))
            except (DrillError, NoClusterError) as error:
                failures.append(str(error))
                console.print(f"  [red]{printable(str(error))}[/]", highlight=False, soft_wrap=True)
        if beside := scene.silent.intersection(pager.rung[earlier:]):
            failures.append(
                f"notified beside {scene.alert}, which should silence it: {', '.join(sorted(beside))}"
            )
        began = time.monotonic()
    try:
        await pager.is_told(scene.alert, RESOLVED, within=scene.resolves_within)
    except NotInTimeError as late:
        failures.append(str(late))
    else:
        _say("resolved", began)
    return _Ended(words, failures)


def _say(what: str, since: float) -> None:
    console.print(f"  {what} after {time.monotonic() - since:.0f} s", highlight=False)


def _commands(scene: Scene) -> Iterator[tuple[str, str]]:
    """Of its page, in the page's order. Raises DrillError where the page has one no longer."""
    wanted = dict(scene.typed)
    for line in runbooks.lines(runbooks.page_of(scene.alert)):
        begins = next((each for each in wanted if line.startswith(each)), None)
        if begins is not None:
            yield line, wanted.pop(begins)
    if wanted:
        raise DrillError(f"the page of {scene.alert} does not say: {', '.join(wanted)}")


async def _typed_until(keyboard: Keyboard, command: str, answers: tuple[int, ...]) -> None:
    """Again and again, for what has just been mended is told of for a while. Raises DrillError."""
    deadline = time.monotonic() + TOLD_WITHIN_SECONDS
    while True:
        try:
            await _typed(keyboard, command, "", answers)
        except DrillError:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(AGAIN_SECONDS)
        else:
            return


async def _typed(keyboard: Keyboard, command: str, word: str, answers: tuple[int, ...] = ANSWERS) -> None:
    """Raises DrillError where it fails, or does not say the word."""
    said = await keyboard.type(command)
    console.print(f"  $ {command}", markup=False, highlight=False)
    if said.code not in answers or word not in said.text:
        raise DrillError(f"`{command}` ended with {said.code}, `{word}` expected: {said.text}")
    for line in said.text.strip().splitlines()[:SHOWN_LINES]:
        console.print(
            f"    {printable(line)}", style="dim", highlight=False, no_wrap=True, overflow="ellipsis"
        )


def main(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="ALERTS", help="Names of alerts. Without any: the usual ones."),
    ] = None,
    *,
    all_: Annotated[bool, typer.Option("--all", help="Every alert that has a fault.")] = False,
    list_: Annotated[bool, typer.Option("--list", help="Only list the alerts and their faults.")] = False,
) -> None:
    """Break a shop under load, and run the commands of the runbooks."""
    if list_:
        for scene in SCENES.values():
            console.print(f"{scene.alert:<33}{scene.says}", highlight=False, soft_wrap=True)
        return
    usual = [each.alert for each in SCENES.values() if all_ or each.is_usual]
    if unknown := [name for name in names or () if name not in SCENES]:
        raise typer.BadParameter(f"no fault for: {', '.join(unknown)}; --list shows what there is")
    raise typer.Exit(run_to_the_end(drill([SCENES[name] for name in names or usual])))


if __name__ == "__main__":
    typer.run(main)
