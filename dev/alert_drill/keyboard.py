"""A page's commands as a person types them, in a shop whose services run in no pods.

What `kubectl` would do to a pod is done to the same log, server or service; the rest of the line, such as
what a log is searched for, is typed as it is written. What is about SagaMonitors is, too, where the operator
is: a real API server answers.
"""

import asyncio
import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from dev.alert_drill.cluster import OPERATOR
from dev.alert_drill.shop import Shop
from dev.servers import RABBITMQCTL, RabbitMQ
from dev.services import REPOSITORY

_LOGS: Final = re.compile(
    r"kubectl -n shop logs (?:(?:deploy|statefulset)/shop-([\w-]+)|-l app.kubernetes.io/part-of=sagashop)"
    r"(?: --since=\w+)?(?: --tail=(-?\d+))?"
)
_EXEC: Final = re.compile(r"kubectl -n shop exec shop-rabbitmq-0 -- ")
_RESTART: Final = re.compile(r"kubectl -n shop rollout restart((?: deploy/shop-[\w-]+)+)")
# What a real API server answers.
_MONITORS: Final = re.compile(r"kubectl -n shop (?:describe|get|patch) sagamonitors?\b")
# Goes on until somebody has seen enough, and types Ctrl-C.
_ENDLESS: Final = re.compile(r"sagactl .+ --every \d+s")
UNTIL_CTRL_C_SECONDS: Final = 15.0
# In a page's text a word, in its scripts a variable.
_WORD: Final = re.compile(r"\$?\b([A-Z]{2,})\b")


class NoClusterError(Exception):
    """The command is one that only a cluster can carry out."""


class Said(NamedTuple):
    code: int
    # By standard output and error.
    text: str


class Keyboard:
    """For one fault: logs are shown from when this was made."""

    def __init__(self, shop: Shop, words: Mapping[str, str], sizes: Mapping[Path, int]) -> None:
        self._site, self._cluster, self._sizes = shop.site, shop.cluster, sizes
        self._words = {"SHOP": shop.site.stack.gateway, "TOKEN": shop.site.admin.token, **words}
        self._environment = environment_of(shop)

    async def type(self, line: str) -> Said:
        """Raises NoClusterError."""
        environment: Mapping[str, str] = self._environment
        if found := _RESTART.match(line):
            return await self._restart(re.findall(r"deploy/shop-([\w-]+)", found[1]))
        if _EXEC.match(line):
            environment = self._at_the_broker()
        ours = _EXEC.sub("", _LOGS.sub(self._log, line))
        if "kubectl" in (_MONITORS.sub("", ours) if self._cluster else ours):
            raise NoClusterError(line)
        process = await asyncio.create_subprocess_exec(
            *(_ended_by_ctrl_c() if _ENDLESS.search(line) else ()),
            *("bash", "-c", _WORD.sub(lambda word: self._words.get(word[1], word[0]), ours)),
            cwd=REPOSITORY,
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        text = (await process.communicate())[0].decode(errors="replace")
        assert process.returncode is not None  # noqa: S101  # it has ended
        return Said(process.returncode, text)

    def _log(self, found: re.Match[str]) -> str:
        """Of one service or server, or of all services."""
        one, lines = found.groups()
        names = (
            self._site.replicas(one) or [one] if one else [each.name for each in self._site.stack.replicas]
        )
        logs = map(self._site.stack.processes.log, names)
        shown = "; ".join(f"tail -c +{self._sizes.get(log, 0) + 1} {log}" for log in logs)
        return f"{{ {shown}; }}" + (f" | tail -n {lines}" if lines and lines != "-1" else "")

    def _at_the_broker(self) -> Mapping[str, str]:
        broker = self._site.stack.rabbitmq
        assert isinstance(broker, RabbitMQ)  # noqa: S101  # a drill's is its own
        return {**broker.programs()[-1].environment, "PATH": f"{RABBITMQCTL.parent}:{os.environ['PATH']}"}

    async def _restart(self, services: list[str]) -> Said:
        for service in services:
            if service == OPERATOR and self._cluster is not None:
                await self._cluster.restart_operator()
                continue
            for name in self._site.replicas(service) or [service]:
                await self._site.stack.restart(name)
        return Said(0, "restarted")


def _ended_by_ctrl_c() -> Sequence[str]:
    """Before a command. Whoever was started in the background has been told to ignore it."""
    return (
        *("env", "--default-signal=INT"),
        *("timeout", "--preserve-status", "--signal=INT", str(UNTIL_CTRL_C_SECONDS)),
    )


def environment_of(shop: Shop) -> dict[str, str]:
    """Of whoever sits there: `sagactl`, and where there is a cluster `kubectl`, know which shop it is."""
    given = {**os.environ, **(shop.cluster.environment if shop.cluster else {})}
    return {
        **given,
        **shop.books,
        "PATH": f"{Path(sys.executable).parent}:{given['PATH']}",
        "STACK_DIR": str(shop.site.stack.directory),
        "COLUMNS": "160",
    }


def sizes_of_logs(shop: Shop) -> Mapping[Path, int]:
    """How long each log of the shop is by now (bytes)."""
    logs = map(shop.site.stack.processes.log, {*shop.site.stack.programs, OPERATOR})
    return {log: log.stat().st_size for log in logs if log.exists()}
