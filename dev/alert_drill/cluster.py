"""The operator at work beside the drill's shop: a real API server, with the chart's own objects in it.

There is no node, and nothing runs in pods: the operator is a process of this machine, as its own service
account, and told what its Deployment says. What a node would do for it is done here: its tokens are files,
the name of the order Service leads to this machine, and how a check of the books ended is said of its pod.
"""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

import yaml

from dev.alert_drill.control_plane import LOOPBACK, ControlPlane, built
from dev.errors import StackError
from dev.files import write_private
from dev.helm import run_helm
from dev.ports import Ports
from dev.processes import Program
from dev.readiness import READY_WITHIN_SECONDS, until_ok
from dev.scraping import NAMESPACE
from dev.services import REPOSITORY
from dev.stack import Stack
from sagactl.polling import until

RELEASE: Final = "shop"
# As a process of the stack; its objects are called as the chart does it.
OPERATOR: Final = "saga-operator"
DEPLOYED: Final = f"{RELEASE}-{OPERATOR}"
ORDER: Final = f"{RELEASE}-order"
SUBJECT: Final = f"system:serviceaccount:{NAMESPACE}:{DEPLOYED}"
# Minutes are seconds, as far as a SagaMonitor may be told so.
VALUES: Final = {
    "payment.env.PAYMENT_GATEWAY": "mock",
    "sagactl.check.enabled": "true",
    "saga-operator.monitor.spec.interval": "5s",
}
# Of the release's objects those that mean something where nothing runs in pods.
KINDS: Final = frozenset(
    {
        *("ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding", "ServiceAccount"),
        "CustomResourceDefinition",
    }
)
# By which order knows whom to believe.
BELIEVES: Final = ("INTERNAL_AUTH", "OPERATOR_AUDIENCE", "OPERATOR_SUBJECTS")
# Longer than any drill.
GOOD_FOR: Final = "24h"
# The command after it sees another file as /etc/hosts.
WITH_HOSTS: Final = (
    *("unshare", "--map-root-user", "--mount", "sh", "-c"),
    'mount --bind "$0" /etc/hosts && exec "$@"',
)
Object = dict[str, Any]


class KubectlError(StackError):
    """The API server did not do what it was asked."""


class Cluster:
    """An API server, and the operator that works by it."""

    def __init__(self, stack: Stack, plane: ControlPlane, directory: Path, tools: Path, ports: Ports) -> None:
        self._stack, self._plane, self._directory, self._tools = stack, plane, directory, tools
        self._metrics, self._liveness = map(ports.take, ("operator-metrics", "operator-liveness"))
        self._objects: Sequence[Object] = ()
        self._operator: Program | None = None
        self._checks = 0
        # Of a person at the keyboard.
        self.environment = {
            "KUBECONFIG": str(plane.kubeconfig("admin")),
            "PATH": f"{tools}:{os.environ['PATH']}",
        }

    async def kubectl(self, *arguments: str, given: str = "") -> str:
        """As an administrator, in the release's namespace. Raises KubectlError."""
        process = await asyncio.create_subprocess_exec(
            *(str(self._tools / "kubectl"), "--namespace", NAMESPACE, *arguments),
            env={**os.environ, **self.environment},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        said, complaint = await process.communicate(given.encode())
        if process.returncode:
            raise KubectlError(f"kubectl {' '.join(arguments)}: {complaint.decode(errors='replace')}")
        return said.decode()

    async def is_ready(self) -> bool:
        try:
            return await self.kubectl("get", "--raw", "/readyz") == "ok"
        except KubectlError:
            return False

    async def monitor(self) -> Object:
        """The release's SagaMonitor; {} before the operator has made it."""
        items: list[Object] = json.loads(await self.kubectl("get", "sagamonitors", "--output=json"))["items"]
        return next(iter(items), {})

    async def change(self, spec: Mapping[str, Any]) -> None:
        """The SagaMonitor's spec, as a person does it."""
        change = json.dumps({"spec": spec})
        await self.kubectl("patch", "sagamonitor", RELEASE, "--type=merge", "--patch", change)

    async def ask_for_a_sweep(self) -> None:
        """Soon: after failures the next one by itself may be two minutes away."""
        asked = f"sagashop.io/sweep-requested-at={datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
        await self.kubectl("annotate", "--overwrite", "sagamonitor", RELEASE, asked)

    @property
    def scraped(self) -> Mapping[str, Any]:
        """A job of Prometheus: the operator, as the chart's PodMonitor has it."""
        target = {
            "targets": [f"{LOOPBACK}:{self._metrics}"],
            "labels": {"namespace": NAMESPACE, "pod": OPERATOR},
        }
        return {"job_name": f"{NAMESPACE}/{OPERATOR}", "honor_labels": True, "static_configs": [target]}

    async def install(self) -> None:
        """What of the chart is asked for; then order believes the operator, and it is at work."""
        self._objects = await asyncio.to_thread(_rendered)
        await self.kubectl("create", "namespace", NAMESPACE)
        items = {"apiVersion": "v1", "kind": "List", "items": [*self._asked_for()]}
        await self.kubectl("apply", "--server-side", "--filename=-", given=json.dumps(items))
        told = _environment(self._of("Deployment", ORDER))
        believes = {name: told[name] for name in BELIEVES}
        with self._stack.changed("order", {**believes, "KUBECONFIG": str(await self._login(ORDER))}):
            for replica in self._stack.replicas:
                if replica.service == "order":
                    await self._stack.restart(replica.name)
        audience = await self._token(DEPLOYED, f"--audience={told['OPERATOR_AUDIENCE']}")
        hosts = await asyncio.to_thread(self._hosts)
        own = {
            "HOST": LOOPBACK,
            "KUBECONFIG": str(await self._login(DEPLOYED)),
            "LIVENESS_PORT": str(self._liveness),
            "METRICS_PORT": str(self._metrics),
            "ORDER_TOKEN_FILE": str(write_private(self._directory / "order-token", audience)),
            "POD_NAMESPACE": NAMESPACE,
        }
        environment = {**os.environ, **_environment(self._of("Deployment", DEPLOYED)), **own}
        command = [*WITH_HOSTS, str(hosts), sys.executable, "-m", "saga_operator"]
        self._operator = Program(OPERATOR, command, environment, REPOSITORY)
        await self.start_operator()
        await until(self._has_swept, within=READY_WITHIN_SECONDS, what="the operator's first sweep")

    async def start_operator(self) -> None:
        """Until its probe is content."""
        assert self._operator is not None  # noqa: S101  # it is installed first
        self._stack.processes.start(self._operator)
        is_there = partial(self._stack.processes.check, OPERATOR)
        await until_ok(f"http://{LOOPBACK}:{self._liveness}/healthz", is_there)

    async def restart_operator(self) -> None:
        await self._stack.stop(OPERATOR)
        await self.start_operator()

    async def has_checked(self, exit_code: int, last_words: str) -> None:
        """A pod of the release's CronJob has ended so, as its node would say."""
        [job] = [each for each in self._objects if each["kind"] == "CronJob"]
        pod = job["spec"]["jobTemplate"]["spec"]["template"]
        self._checks += 1
        name = f"{job['metadata']['name']}-{self._checks}"
        made = {"apiVersion": "v1", "kind": "Pod", **pod, "metadata": {**pod["metadata"], "name": name}}
        await self.kubectl("create", "--filename=-", given=json.dumps(made))
        [container] = pod["spec"]["containers"]
        ended = {
            "exitCode": exit_code,
            "finishedAt": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
            "message": last_words,
        }
        seen = {
            "name": container["name"],
            "image": container["image"],
            "imageID": "",
            "ready": False,
            "restartCount": 0,
            "state": {"terminated": ended},
        }
        status = {"phase": "Failed" if exit_code else "Succeeded", "containerStatuses": [seen]}
        patch = json.dumps({"status": status})
        await self.kubectl("patch", "pod", name, "--subresource=status", "--type=merge", "--patch", patch)

    # --- how --------------------------------------------------------------------------------------------

    def _asked_for(self) -> Iterator[Object]:
        yield from (each for each in self._objects if each["kind"] in KINDS)
        yield self._of("Deployment", DEPLOYED)
        service = self._of("Service", ORDER)
        for port in service["spec"]["ports"]:
            if port["name"] == "http":
                port["port"] = int(self._stack.services["order"].rpartition(":")[2])
        yield service

    def _of(self, kind: str, name: str) -> Object:
        [found] = [each for each in self._objects if (each["kind"], each["metadata"]["name"]) == (kind, name)]
        return found

    def _hosts(self) -> Path:
        file = self._directory / "hosts"
        file.write_text(f"{Path('/etc/hosts').read_text()}\n{LOOPBACK} {ORDER}.{NAMESPACE}.svc\n")
        return file

    async def _login(self, account: str) -> Path:
        return self._plane.kubeconfig(account, await self._token(account))

    async def _token(self, account: str, *more: str) -> str:
        return (await self.kubectl("create", "token", account, f"--duration={GOOD_FOR}", *more)).strip()

    async def _has_swept(self) -> bool:
        return "lastSuccessfulSweepTime" in (await self.monitor()).get("status", {})


@asynccontextmanager
async def operated(stack: Stack, given: Path) -> AsyncIterator[Cluster]:
    """Until the end of the block the operator looks after the stack's orders.

    Raises CalledProcessError where Kubernetes cannot be built, RenderingError, KubectlError and what the
    stack raises.
    """
    programs = await asyncio.to_thread(built)
    directory = await asyncio.to_thread(_made, given)
    with Ports({}, at_random=True) as ports:
        plane = ControlPlane(directory, programs.kubernetes, ports)
        cluster = Cluster(stack, plane, directory, programs.tools, ports)
    servers = plane.programs()
    try:
        for each in servers:
            stack.processes.start(each)
        await until(
            cluster.is_ready, within=READY_WITHIN_SECONDS, what="an API server that is ready", every=0.5
        )
        await cluster.install()
        yield cluster
    finally:
        ours = {OPERATOR, *(each.name for each in servers)}
        await stack.processes.kill([name for name in stack.processes.started if name in ours])


def _made(directory: Path) -> Path:
    directory.mkdir(parents=True)
    return directory.absolute()


def _rendered() -> Sequence[Object]:
    given = [f"--set={name}={value}" for name, value in VALUES.items()]
    chart = REPOSITORY / "charts" / "sagashop"
    text = run_helm("template", RELEASE, chart, "--namespace", NAMESPACE, "--include-crds", *given)
    return [found for found in yaml.safe_load_all(text) if found]


def _environment(deployment: Object) -> dict[str, str]:
    """What its container is told in so many words."""
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    return {each["name"]: each["value"] for each in container["env"] if "value" in each}
