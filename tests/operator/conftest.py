"""Servers for the operator's tests: an order service, and a stand-in for the Kubernetes API."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest
import yaml
from kmock import Server

from tests.operator.kube import ApiServer, Kube
from tests.operator.order_service import FakeOrderService


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


@pytest.fixture
async def order_service(stack: AsyncExitStack) -> FakeOrderService:
    return await FakeOrderService().start(stack)


@pytest.fixture
async def session(stack: AsyncExitStack) -> aiohttp.ClientSession:
    return await stack.enter_async_context(aiohttp.ClientSession())


@pytest.fixture
async def kube(
    order_service: FakeOrderService,
    stack: AsyncExitStack,
    session: aiohttp.ClientSession,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Kube:
    """A cluster that KUBECONFIG leads to, with our resource defined."""
    api = await stack.enter_async_context(ApiServer())
    await stack.enter_async_context(Server(api))
    config = {
        "current-context": "test",
        "clusters": [{"name": "test", "cluster": {"server": str(api.url)}}],
        "users": [{"name": "test", "user": {"token": "test"}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
    }
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    monkeypatch.setenv("KUBECONFIG", str(path))
    kube = Kube(api, order_service, stack, session)
    kube.install()
    kube.define()
    return kube
