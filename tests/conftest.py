"""For all tests."""

import asyncio
import os
from collections.abc import Callable, Coroutine, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import uvloop
from hypothesis import settings

from dev.stack import Stack
from tests.authority import Authority
from tests.integration.room import all_cleared
from tests.modes import Recorder

# Without this pytest-asyncio makes a loop to go back to after each of its own, and never closes it.
asyncio.set_event_loop(None)


# No deadlines: a busy machine proves nothing. A change is held against the same examples as the one before;
# `make fuzz` looks for new ones.
settings.register_profile("same", deadline=None, derandomize=True)
settings.register_profile("fuzz", deadline=None, max_examples=2000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--modes", action="store_true", help="run what shows a failure mode, and write docs/failure-modes.md"
    )


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--modes"):
        config.pluginmanager.register(Recorder())


def pytest_asyncio_loop_factories(item: pytest.Item) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """That of the services (services/shared/http/serving.py): it closes and resets connections otherwise than
    asyncio's own. Only that one can have its clock turned.
    """
    if item.get_closest_marker("looptime"):
        return {"asyncio": asyncio.new_event_loop}
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(scope="session", autouse=True)
def nobody_is_logged_in(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Whoever runs the tests may be, at a shop of theirs: `sagactl login`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("config")))
        yield


@pytest.fixture(scope="session")
def one_authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Authority.made_in(tmp_path_factory.mktemp("authority")).file


@pytest.fixture(scope="module")
def few_to_believe(one_authority: Path) -> Iterator[None]:
    """The machine's authorities are more than a hundred, and each client and process reads them anew. For
    tests that fetch nothing from the world: elsewhere a tool that is missing is fetched.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(one_authority))
        yield


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Real servers, for the whole run: whoever asks makes room of its own on them."""
    stack = Stack(tmp_path_factory.mktemp("servers"), services=())
    try:
        _run(stack.up())
        yield stack
        all_cleared()
    finally:
        _run(stack.down())


def _run(work: Coroutine[Any, Any, object]) -> None:
    """In a thread of its own: this one has the event loop that pytest-asyncio keeps for the tests."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, work).result()
