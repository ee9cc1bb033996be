"""The installed release, as kubectl and helm see it."""

import asyncio
import functools
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dev.package import package
from dev.services import NAMES
from sagactl.polling import until

SERVICES = tuple(sorted(NAMES))
# The port of a node that `k8s/kind.yaml` maps to one of the machine's, which SHOP_URL names.
MAPPED = 30003
CACHE = Path(os.environ.get("SAGASHOP_CACHE", Path.home() / ".cache/sagashop"))


@functools.cache
def packaged() -> Path:
    """The chart as it would be published: one file, without what is beside it in the tree."""
    umbrella, _ = package(Path(tempfile.mkdtemp(prefix="sagashop-charts-")))
    return umbrella


class CommandError(RuntimeError):
    """What a command that failed had to say."""


def environment() -> dict[str, str]:
    """KUBECONFIG as given, else that of the project's own cluster; its tools, where there are no others."""
    given = os.environ.get("KUBECONFIG", str(CACHE / "run/admin.conf"))
    return {**os.environ, "KUBECONFIG": given, "PATH": f"{os.environ['PATH']}:{CACHE / 'tools'}"}


async def run(*command: str | Path, stdin: str = "") -> str:
    """Run a command and return what it prints; raise CommandError with its complaint."""
    surroundings = environment()
    program = shutil.which(command[0], path=surroundings["PATH"])
    if program is None:
        raise CommandError(f"{command[0]} is not here: dev/cluster/build.sh tools")
    process = await asyncio.create_subprocess_exec(
        program,
        *map(str, command[1:]),
        env=surroundings,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    said, complained = await process.communicate(stdin.encode())
    if process.returncode:
        raise CommandError(
            f"{' '.join(map(str, command))}: {complained.decode()[-4000:]}{said.decode()[-4000:]}"
        )
    return said.decode()


async def run_between(source: Path | None, target: Path, *command: str | Path) -> None:
    """Run a command on bytes: from one file, to another. Raise CommandError with its complaint."""
    surroundings = environment()
    program = shutil.which(command[0], path=surroundings["PATH"]) or command[0]
    nothing = Path(os.devnull)
    with (source or nothing).open("rb") as given, target.open("wb") as taken:
        process = await asyncio.create_subprocess_exec(
            program,
            *map(str, command[1:]),
            env=surroundings,
            stdin=given,
            stdout=taken,
            stderr=asyncio.subprocess.PIPE,
        )
        _, complained = await process.communicate()
    if process.returncode:
        raise CommandError(f"{' '.join(map(str, command))}: {complained.decode()[-4000:]}")


def has_traffic(pod: Mapping[str, Any]) -> bool:
    """Whether it is ready."""
    conditions = pod["status"].get("conditions", ())
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


@dataclass(frozen=True)
class Release:
    name: str
    namespace: str
    values: tuple[Path, ...]
    # Another than the packaged one.
    chart: Path | None = None

    async def kubectl(self, *arguments: str | Path, stdin: str = "") -> str:
        return await run("kubectl", "--namespace", self.namespace, *arguments, stdin=stdin)

    async def stream(self, *arguments: str, target: Path, source: Path | None = None) -> None:
        await run_between(source, target, "kubectl", "--namespace", self.namespace, *arguments)

    async def get(self, *what: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(await self.kubectl("get", *what, "--output", "json"))
        return found

    async def install(self) -> float:
        """Install and wait until all is ready; return the seconds it took."""
        return await self._helm("install")

    async def upgrade(self, *settings: str) -> float:
        return await self._helm("upgrade", *(f"--set={setting}" for setting in settings))

    async def begin_upgrade(self) -> None:
        """Tell the cluster what there is to be, and wait for nothing."""
        await self._helm("upgrade", wait=False)

    async def roll_back(self, *, wait: bool = True) -> float:
        """To the revision before; return the seconds it took."""
        begin = time.monotonic()
        until_ready = ("--wait", "--timeout", "10m") if wait else ()
        await run("helm", "rollback", self.name, "--namespace", self.namespace, *until_ready)
        return time.monotonic() - begin

    async def test(self) -> str:
        return await run(
            "helm", "test", self.name, "--namespace", self.namespace, "--logs", "--timeout", "5m"
        )

    async def uninstall(self) -> float:
        begin = time.monotonic()
        await run("helm", "uninstall", self.name, "--namespace", self.namespace, "--wait", "--timeout", "5m")
        return time.monotonic() - begin

    async def _helm(self, verb: str, *options: str, wait: bool = True) -> float:
        begin = time.monotonic()
        files = [f"--values={file}" for file in self.values]
        namespace = ("--namespace", self.namespace)
        await run(
            "helm",
            verb,
            self.name,
            self.chart or packaged(),
            *namespace,
            *files,
            *(("--wait", "--timeout", "10m") if wait else ()),
            *options,
        )
        return time.monotonic() - begin

    async def pods(self, service: str, *, going: bool = False) -> list[str]:
        """Name the pods of a chart; those that are on their way out only if asked."""
        chart = f"app.kubernetes.io/instance={self.name},app.kubernetes.io/name={service}"
        selector = f"{chart},app.kubernetes.io/component in (server, controller)"
        pods = [pod["metadata"] for pod in (await self.get("pods", "--selector", selector))["items"]]
        return [pod["name"] for pod in pods if going or "deletionTimestamp" not in pod]

    async def kill(self, pod: str) -> None:
        """Kill as a machine that loses its power would: no SIGTERM, no drain."""
        await self.kubectl("delete", "pod", pod, "--grace-period=0", "--force", "--wait=false")

    async def scale(self, service: str, replicas: int) -> None:
        """Scale, and wait until just so many pods are there and ready."""
        deployment = f"deployment/{self.name}-{service}"
        await self.kubectl("scale", deployment, f"--replicas={replicas}")
        await self.ready(deployment)

        async def present() -> int:
            return len(await self.pods(service, going=True))

        await until(present, lambda count: count == replicas, within=90, what=f"{service} at {replicas}")

    async def ready(self, workload: str) -> None:
        await self.kubectl("rollout", "status", workload, "--timeout=240s")

    async def is_ready(self, pod: str) -> bool:
        """Whether it is there, and traffic goes to it."""
        try:
            found = await self.get("pod", pod)
        except CommandError:
            return False
        return has_traffic(found)

    async def all_ready(self) -> None:
        """Wait until every workload of the release is as it should be."""
        found = await self.get("deployments,statefulsets")
        for one in found["items"]:
            await self.ready(f"{one['kind'].lower()}/{one['metadata']['name']}")

    async def tool(self, *command: str, stdin: str = "") -> str:
        """Run a command in the toolbox, inside of the cluster."""
        toolbox = f"deployment/{self.name}-sagactl"
        return await self.kubectl("exec", "--stdin", toolbox, "--", *command, stdin=stdin)

    async def secret(self, name: str) -> dict[str, str]:
        found = await self.kubectl(
            "get",
            "secret",
            name,
            "--output",
            "go-template={{range $k, $v := .data}}{{$k}} {{base64decode $v}}\n{{end}}",
        )
        return dict(line.split(" ", 1) for line in found.splitlines())

    async def door(self) -> str:
        """Find the gateway's address outside of the cluster: a node's port."""
        service = await self.get("service", f"{self.name}-gateway")
        node = (await self.get("nodes"))["items"][0]
        [address] = [one["address"] for one in node["status"]["addresses"] if one["type"] == "InternalIP"]
        port = service["spec"]["ports"][0]
        given = os.environ.get("SHOP_URL") if port["nodePort"] == MAPPED else None
        return given or f"{port['appProtocol']}://{address}:{port['nodePort']}"

    @asynccontextmanager
    async def forwarded(self, workload: str, port: int) -> AsyncIterator[int]:
        """Yield a port of this machine that leads to one of a workload's pod, past all policies."""
        surroundings = environment()
        program = shutil.which("kubectl", path=surroundings["PATH"]) or "kubectl"
        process = await asyncio.create_subprocess_exec(
            program, "--namespace", self.namespace, "port-forward", workload, f":{port}",
            env=surroundings,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        try:
            assert process.stdout is not None
            said = (await process.stdout.readline()).decode()
            found = re.match(r"Forwarding from 127\.0\.0\.1:(\d+) ", said)
            if found is None:
                raise CommandError(f"kubectl port-forward {workload} {port}: {said}")
            yield int(found[1])
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def installed(self) -> bool:
        found = json.loads(await run("helm", "list", "--namespace", self.namespace, "--output", "json"))
        return [one["status"] for one in found if one["name"] == self.name] == ["deployed"]

    async def gone(self) -> None:
        """Leave nothing of an earlier run."""
        with suppress(CommandError):
            await run(
                "helm", "uninstall", self.name, "--namespace", self.namespace, "--wait", "--timeout", "2m"
            )
        await run("kubectl", "delete", "namespace", self.namespace, "--ignore-not-found", "--timeout=180s")
