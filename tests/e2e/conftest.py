"""One installation of the shop for all tests, into a namespace that admits hardened pods only."""

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest
import yaml

from dev.helm import ROOT
from sagactl.shop import Client
from tests.e2e.release import Release, run

REPORT: list[str] = []
# Seconds in which a shop that lost a pod or a server answers again.
PATIENCE = 90.0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes the shop away comes last."""
    items.sort(key=lambda item: item.path.stem == "test_e2e_uninstall")


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


@pytest.fixture(scope="session")
def release(report: list[str]) -> Iterator[Release]:
    shop = Release("shop", "shop-e2e", (Path(__file__).parent / "values.yaml",))
    namespace = yaml.safe_load((ROOT / "k8s/namespace.yaml").read_text())
    namespace["metadata"]["name"] = shop.namespace

    keep = "E2E_KEEP" in os.environ  # for work on these tests: the installation stays, and is used again

    async def start() -> None:
        if keep and await shop.installed():
            return
        await shop.gone()
        await run("kubectl", "apply", "--filename", "-", stdin=yaml.safe_dump(namespace))
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


@pytest.fixture
async def visitor(release: Release) -> AsyncIterator[Client]:
    """Somebody at the door."""
    timeout = aiohttp.ClientTimeout(total=20)
    async with aiohttp.ClientSession(await release.door(), timeout=timeout) as session:
        yield Client(session, patience=PATIENCE)


@pytest.fixture
async def admin(release: Release, visitor: Client) -> Client:
    secret = await release.secret(f"{release.name}-auth-admin")
    return await visitor.log_in(secret["ADMIN_EMAIL"], secret["ADMIN_PASSWORD"])


@pytest.fixture
async def customer(visitor: Client) -> Client:
    return await visitor.register()


@pytest.fixture(autouse=True)
def duration(request: pytest.FixtureRequest, report: list[str]) -> Iterator[None]:
    begin = time.monotonic()
    yield
    report.append(f"{time.monotonic() - begin:6.1f} s  {request.node.name}")
