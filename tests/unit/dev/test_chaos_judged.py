"""What `make chaos` and `make survive` see of a shop that is not as it should be."""

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import pytest
from pymongo.errors import ServerSelectionTimeoutError

from dev.chaos import running, services
from dev.chaos.faults import FAULTS
from dev.chaos.plan import Round
from dev.chaos.running import Shop
from dev.faults import crashes
from dev.faults.clocks import Clocks
from dev.faults.crashes import Crashes, CrashPoint
from dev.faults.disks import Disks
from dev.services import Replica
from dev.survive import looking, site, watching
from dev.survive.attempts import Outcome
from dev.survive.site import Site
from dev.survive.verdict import Evidence
from sagactl.access import Access
from sagactl.polling import NotInTimeError
from services.shared import waiting
from services.shared.contract.events import CORE
from tests.unit.dev.test_survive_verdict import WELL


class Running:
    """Names of processes that run, and of those that have ended by themselves."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self.names, self.ended = set(CORE), dict[str, SimpleNamespace]()

    def __contains__(self, name: str) -> bool:
        return name in self.names

    def end(self, name: str, *, by_kill: bool) -> None:
        self.names.remove(name)
        self.ended[name] = SimpleNamespace(was_killed=by_kill)

    def log(self, name: str) -> Path:
        file = self._logs / f"{name}.log"
        file.write_text("it began\nTypeError\n")
        return file


class Stack:
    """Replicas that run or do not, and nobody behind them."""

    def __init__(self, directory: Path) -> None:
        self.replicas = [Replica(service, 1, 1) for service in CORE]
        self.processes, self.directory = Running(directory), directory

    async def kill(self, name: str) -> None:
        self.processes.names.discard(name)
        self.processes.ended.pop(name, None)

    def spawn(self, name: str) -> None:
        self.processes.names.add(name)
        self.processes.ended.pop(name, None)

    @property
    def all_run(self) -> bool:
        return self.processes.names == set(CORE)


class Traffic:
    """Of a shop that takes nothing any more."""

    def __init__(self) -> None:
        self.attempts = self.accepted = [*WELL.attempts]

    async def burst(self, orders: int, customers: int) -> None:
        assert (orders, customers) == (1, 1)
        refused = WELL.attempts[0]._replace(number=len(self.attempts), outcome=Outcome.REFUSED)
        self.attempts.append(refused)

    @asynccontextmanager
    async def flowing(self, _: float) -> AsyncIterator[None]:
        yield


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    return Stack(tmp_path)


@pytest.fixture
def shop(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.setattr(services, "RESTARTS_AFTER_SECONDS", 0.05)
    monkeypatch.setattr(crashes, "LAST_SECONDS", 0.05)
    monkeypatch.setattr(site, "POLL_SECONDS", 0.01)
    directory = stack.directory / "crashes"
    directory.mkdir()
    parts: dict[str, Any] = {
        **dict.fromkeys(("session", "mongodb", "admin", "closing")),
        "stack": stack,
        "traffic": Traffic(),
        "products": [],
        "chance": random.Random(1),
        "rate": 1.0,
        "short": True,
        "say": print,
        "crashes": Crashes(directory),
        "clocks": Clocks(directory),
        "disks": Disks(directory, {}),
    }
    return Site(**parts)


OF_SERVICES: Final = ("replicas-killed", "service-gone", "crash-points")


@pytest.mark.parametrize("name", OF_SERVICES)
@pytest.mark.parametrize("by_kill", [False, True])
async def test_who_ends_otherwise_than_by_the_faults_kill_is_a_failure_and_runs_again(
    name: str, stack: Stack, shop: Site, *, by_kill: bool
) -> None:
    async with FAULTS[name].during(shop):
        victim = min(stack.processes.names)
        stack.processes.end(victim, by_kill=by_kill)
    said = [] if by_kill else [f"{victim} ended by itself: TypeError"]
    assert ([each.what for each in shop.remarks], stack.all_run) == (said, True)


async def test_who_dies_a_moment_after_it_was_told_to_runs_again(stack: Stack, shop: Site) -> None:
    """Before an acknowledgement a process waits for a while, and dies then."""

    async def die() -> None:
        await asyncio.sleep(crashes.LAST_SECONDS)
        stack.processes.end("order", by_kill=True)

    async with FAULTS["crash-points"].during(shop):
        dying = asyncio.create_task(die())
    await dying
    assert (shop.remarks, stack.all_run) == ([], True)


def test_a_point_that_somebody_takes_while_all_are_disarmed_is_disarmed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    points = Crashes(tmp_path)
    for point in (CrashPoint.BEFORE_ACK, CrashPoint.AFTER_COMMIT):
        points.arm("order", point)
    there = sorted(tmp_path.iterdir())

    def listed(_: Path) -> Iterator[Path]:
        assert points.take("order", CrashPoint.AFTER_COMMIT)
        return iter(there)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "iterdir", listed)
        points.disarm()
    assert not [*tmp_path.iterdir()]


async def test_a_shop_that_takes_no_order_afterwards_did_not_survive(
    shop: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing(*_: object) -> list[Any]:
        return []

    monkeypatch.setattr(looking, "SETTLED_WITHIN_SECONDS", 0.1)
    for name in ("_until_settled", "_orders", "_findings"):
        monkeypatch.setattr(looking, name, nothing)
    seen = await looking.look(shop, datetime.now(UTC))
    assert ["an order is taken again" in each.what for each in seen.remarks] == [True]


async def test_whoever_is_still_called_when_a_round_is_over_is_its_failure_and_not_the_end_of_the_story(
    shop: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def log_in() -> None:
        pass

    async def look(*_: object) -> Evidence:
        return WELL

    @asynccontextmanager
    async def unwatched(_: object) -> AsyncIterator[None]:
        yield

    async def is_silent(alerts: object, *, within: float) -> None:
        raise NotInTimeError(f"{alerts} after {within:g} s")

    monkeypatch.setattr(shop, "log_in", log_in)
    for name, changed in (("look", look), ("watched", unwatched)):
        monkeypatch.setattr(running, name, changed)
    for name in ("WARM_UP_SECONDS", "AFTERWARDS_SECONDS"):
        monkeypatch.setattr(running, name, 0)
    pager: Any = SimpleNamespace(rung=[], is_silent=is_silent)
    ended = await Shop(shop, pager).endure(1, Round(("replicas-killed",), 0.01))
    assert [each.what for each in ended.failures] == ["{''} after 60 s"]


async def test_a_round_that_breaks_off_is_told_with_what_broke_it(
    shop: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def log_in() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(break_off())

    async def break_off() -> None:
        raise ServerSelectionTimeoutError("no primary")

    monkeypatch.setattr(shop, "log_in", log_in)
    pager: Any = SimpleNamespace(rung=[])
    ended = await Shop(shop, pager).endure(1, Round(("replicas-killed",), 0.01))
    said = ["broke off: ServerSelectionTimeoutError: no primary"]
    assert ([each.what.partition(", Timeout")[0] for each in ended.failures], ended.broke_off) == (said, True)


# --- the live check looks on ------------------------------------------------------------------------------


@pytest.fixture
def access(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Access, "of_stack", lambda _: None)


@pytest.mark.usefixtures("access")
async def test_who_is_interrupted_while_the_watching_ends_is_interrupted(
    shop: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks, ends = asyncio.Event(), asyncio.Event()

    async def check(*_: object) -> None:
        looks.set()
        try:
            await asyncio.Event().wait()
        finally:
            ends.set()
            await asyncio.sleep(0.05)

    async def watch() -> None:
        async with watching.watched(shop):
            await looks.wait()

    monkeypatch.setattr(watching, "check_live", check)
    task = asyncio.create_task(watch())
    await ends.wait()
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled()


@pytest.mark.usefixtures("access")
async def test_the_watching_ends_although_a_client_library_swallows_its_cancellation(
    shop: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = asyncio.Event()

    async def check(*_: object) -> None:
        looks.set()
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        raise TimeoutError

    monkeypatch.setattr(waiting, "AGAIN_SECONDS", 0.01)
    monkeypatch.setattr(watching, "check_live", check)
    async with asyncio.timeout(2), watching.watched(shop):
        await looks.wait()


@pytest.mark.usefixtures("access")
async def test_what_the_watching_trips_over_is_told(shop: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    async def check(*_: object) -> None:
        raise LookupError("nothing of the kind")

    monkeypatch.setattr(watching, "check_live", check)
    with pytest.raises(LookupError):
        async with watching.watched(shop):
            await asyncio.sleep(0.01)
