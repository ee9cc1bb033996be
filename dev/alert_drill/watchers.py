"""Prometheus and Alertmanager beside a shop, and whoever would be called: what they send arrives here."""

import json
import os
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import yaml
from aiohttp import web

from dev import scraping
from dev.alert_drill.hurried import hurried, told_to
from dev.ports import Ports
from dev.processes import Processes, Program
from dev.prometheus import server
from dev.readiness import until_ok
from dev.services import REPOSITORY
from dev.stack import Stack
from sagactl.polling import until

ALERTMANAGER: Final = REPOSITORY / "docs" / "alertmanager.yaml"
# What the chart's 15 s are where minutes are seconds, as far as a service bears being asked.
EVERY: Final = "1s"
# Prometheus takes a series for alive for so long after it was last seen.
LOOKBACK: Final = "5s"
RESOLVED: Final = "resolved"
FIRING: Final = "firing"


class Pager:
    """Receives what Alertmanager sends, as a pager or a mailbox would."""

    def __init__(self) -> None:
        # Of each alert its states, by their labels' fingerprint, and who was told last.
        self._states: dict[str, dict[str, str]] = {}
        self._receivers: dict[str, str] = {}
        self.rung: list[str] = []

    async def receive(self, request: web.Request) -> web.Response:
        """Alertmanager's webhook: https://prometheus.io/docs/alerting/latest/configuration/#webhook_config"""
        receiver = request.match_info["receiver"]
        for alert in (await request.json())["alerts"]:
            name = alert["labels"]["alertname"]
            self._states.setdefault(name, {})[alert["fingerprint"]] = alert["status"]
            self._receivers[name] = receiver
            if alert["status"] == FIRING:
                self.rung.append(name)
        return web.Response()

    async def is_told(self, alert: str, state: str, *, within: float) -> str:
        """By whom (the receiver's name). Raises NotInTimeError after `within` seconds."""

        async def now() -> str:
            return self._state(alert)

        await until(now, lambda seen: seen == state, within=within, what=f"{alert} is {state}")
        return self._receivers[alert]

    async def is_silent(self, alerts: Collection[str], *, within: float) -> None:
        """Raises NotInTimeError when one of them is still firing after `within` seconds."""

        async def firing() -> list[str]:
            return [each for each in alerts if self._state(each) == FIRING]

        await until(firing, lambda seen: not seen, within=within, what="alerts are resolved")

    def _state(self, alert: str) -> str:
        """It fires as long as it does so for any service, queue ..."""
        states = self._states.get(alert, {}).values()
        return FIRING if FIRING in states else RESOLVED if states else "not told"


@asynccontextmanager
async def watching(
    stack: Stack, directory: Path, *, ages: bool = False, more: Sequence[Mapping[str, Any]] = ()
) -> AsyncIterator[Pager]:
    """Until the end of the block both watch the stack, by the chart's rules in a hurry, and `ages` with them.

    `more`: Prometheus' jobs beside those of the stack.

    Raises NotThereError where the programs are not to be had.
    """
    pager, processes = Pager(), Processes(directory)
    with Ports({}, at_random=True) as ports:
        calls, prometheus, alertmanager = (
            f"127.0.0.1:{ports.take(name)}" for name in ("pager", "prometheus", "alertmanager")
        )
        async with _answering(pager, calls):
            try:
                scraped = scraping.configuration(stack)
                scraped["scrape_configs"] += more
                programs = _programs(scraped, directory, calls, prometheus, alertmanager, ages=ages)
                ports.release()
                for each in programs:
                    processes.start(each)
                for each, address in zip(programs, (prometheus, alertmanager), strict=True):
                    await until_ok(f"http://{address}/-/ready", partial(processes.check, each.name))
                yield pager
            finally:
                await processes.stop()


@asynccontextmanager
async def _answering(pager: Pager, address: str) -> AsyncIterator[None]:
    app = web.Application()
    app.router.add_post("/{receiver}", pager.receive)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    host, port = address.split(":")
    await web.TCPSite(runner, host, int(port)).start()
    try:
        yield
    finally:
        await runner.cleanup()


def _programs(
    jobs: Mapping[str, Any], given: Path, calls: str, prometheus: str, alertmanager: str, *, ages: bool
) -> Sequence[Program]:
    directory = given.absolute()  # they run there
    directory.mkdir(parents=True, exist_ok=True)
    rules = [
        _written(directory / file.name, hurried(file.read_text(), ages=ages))
        for file in scraping.rule_files()
    ]
    routes = told_to(f"http://{calls}", yaml.safe_load(ALERTMANAGER.read_text()))
    scraped: Mapping[str, Any] = {
        **jobs,
        "global": {"scrape_interval": EVERY, "evaluation_interval": EVERY},
        "rule_files": [str(file) for file in rules],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]},
    }
    # JSON is YAML, too.
    told = {
        "prometheus": _written(directory / "prometheus.yml", json.dumps(scraped, indent=1)),
        "alertmanager": _written(directory / "alertmanager.yml", json.dumps(routes, indent=1)),
    }
    return (
        Program(
            "prometheus",
            [
                *server("prometheus"),
                f"--config.file={told['prometheus']}",
                f"--storage.tsdb.path={directory / 'prometheus'}",
                f"--web.listen-address={prometheus}",
                f"--query.lookback-delta={LOOKBACK}",
                "--rules.alert.resend-delay=1s",
            ],
            os.environ,
            directory,
        ),
        Program(
            "alertmanager",
            [
                *server("prometheus-alertmanager"),
                f"--config.file={told['alertmanager']}",
                f"--storage.path={directory / 'alertmanager'}",
                f"--web.listen-address={alertmanager}",
                "--cluster.listen-address=",
            ],
            os.environ,
            directory,
        ),
    )


def _written(file: Path, text: str) -> Path:
    file.write_text(text)
    return file
