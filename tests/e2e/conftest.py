"""One installation of the shop for all tests, into a namespace that admits hardened pods only."""

import asyncio
import json
import os
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import aiohttp
import pytest
import yaml

from dev.helm import ROOT
from sagactl.shop import Client
from tests.e2e.release import Release, run

HERE = Path(__file__).parent
REPORT: list[str] = []
# Seconds in which a shop that lost a pod or a server answers again.
PATIENCE = 90.0


# What is asked for by name: `make e2e-long`, `make drill`.
APART = {"long": "slow and rare", "drill": "restores a copy"}


def pytest_configure(config: pytest.Config) -> None:
    for name, meaning in APART.items():
        config.addinivalue_line("markers", f"{name}: on the cluster, {meaning}")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What takes the shop away comes last; what is asked for by name only then."""
    items.sort(key=lambda item: item.path.stem == "test_e2e_uninstall")
    if config.option.markexpr:
        return
    apart = [item for item in items if APART.keys() & {mark.name for mark in item.iter_markers()}]
    config.hook.pytest_deselected(items=apart)
    items[:] = [item for item in items if item not in apart]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    terminalreporter.section("on a real cluster")
    for line in REPORT:
        terminalreporter.line(line)


@pytest.fixture(scope="session")
def report() -> list[str]:
    """Lines to be printed at the end."""
    return REPORT


async def versions() -> str:
    server = json.loads(await run("kubectl", "version", "--output", "json"))["serverVersion"]["gitVersion"]
    node = json.loads(await run("kubectl", "get", "nodes", "--output", "json"))["items"][0]["status"][
        "nodeInfo"
    ]
    helm = (await run("helm", "version", "--template", "{{.Version}}")).strip()
    return f"Kubernetes {server}, {node['containerRuntimeVersion']}, helm {helm}"


async def make_namespace(name: str) -> None:
    """One that admits hardened pods only."""
    namespace = yaml.safe_load((ROOT / "k8s/namespace.yaml").read_text())
    namespace["metadata"]["name"] = name
    await run("kubectl", "apply", "--filename", "-", stdin=yaml.safe_dump(namespace))


async def nothing_before(_: Release) -> None:
    """What most installations need to be there beforehand."""


@contextmanager
def installed(
    shop: Release, report: list[str], before: Callable[[Release], Awaitable[None]] = nothing_before
) -> Iterator[Release]:
    """`before`: puts into its namespace what has to be there."""
    keep = "E2E_KEEP" in os.environ  # for work on these tests: the installation stays, and is used again

    async def start() -> None:
        if keep and await shop.installed():
            return
        await shop.gone()
        await make_namespace(shop.namespace)
        await before(shop)
        seconds = await shop.install()
        pods = (await shop.get("pods"))["items"]
        report.append(await versions())
        report.append(f"helm install --wait: {seconds:.0f} s, {len(pods)} pods in a restricted namespace")
        images = {container["image"] for pod in pods for container in pod["spec"]["containers"]}
        report.extend(f"  {image}" for image in sorted(images))

    asyncio.run(start())
    yield shop
    if not keep:
        asyncio.run(shop.gone())


@pytest.fixture(scope="session")
def release(report: list[str]) -> Iterator[Release]:
    shop = Release("shop", "shop-e2e", (HERE / "values.yaml", HERE / "sending.yaml"))
    with installed(shop, report) as shop:
        yield shop


@asynccontextmanager
async def at_the_door_of(release: Release, believing: ssl.SSLContext | None = None) -> AsyncIterator[Client]:
    """`believing`: of a shop that is reached by TLS."""
    timeout = aiohttp.ClientTimeout(total=20)
    connector = aiohttp.TCPConnector(ssl=believing or True)
    async with aiohttp.ClientSession(await release.door(), timeout=timeout, connector=connector) as session:
        yield Client(session, patience=PATIENCE)


async def administrator(release: Release, visitor: Client) -> Client:
    secret = await release.secret(f"{release.name}-auth-admin")
    return await visitor.log_in(secret["ADMIN_EMAIL"], secret["ADMIN_PASSWORD"])


@pytest.fixture
async def visitor(release: Release) -> AsyncIterator[Client]:
    """Somebody at the door."""
    async with at_the_door_of(release) as visitor:
        yield visitor


@pytest.fixture
async def admin(release: Release, visitor: Client) -> Client:
    return await administrator(release, visitor)


@pytest.fixture
async def customer(visitor: Client) -> Client:
    return await visitor.register()


@pytest.fixture(autouse=True)
def duration(request: pytest.FixtureRequest, report: list[str]) -> Iterator[None]:
    begin = time.monotonic()
    yield
    report.append(f"{time.monotonic() - begin:6.1f} s  {request.node.name}")
