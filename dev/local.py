"""The stack of `make up`: started once however often it is asked for, supervised, with a small shop."""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import aiohttp
from rich.console import Console

from dev.already import tell
from dev.errors import StackError
from dev.given import wants_goods
from dev.layout import Layout, changeable
from dev.lock import turn
from dev.seed import Seeded, seed
from dev.services import KNOWN
from dev.stack import SUPERVISOR, Stack
from sagactl.shop import ShopError

# Of what can be restarted; epmd has nothing to show for it.
RESTARTABLE_SERVERS = ("mongodb", "rabbitmq", "redis", "jaeger", "mailbox")


class NothingRunsError(StackError):
    """Nothing was started in the directory."""


class UnknownServiceError(StackError):
    """There is nothing of that name to be restarted."""


class NotKeptError(StackError):
    """A service does not start with the settings that were given for its restart."""


class SeedError(StackError):
    """The shop is up, but could not be filled."""


async def up(
    directory: Path, services: Sequence[str], console: Console, *, jaeger: Path | None = None
) -> None:
    """Start what does not run. Raises what `Stack.up` and `Stack.complete` do, and SeedError."""
    say = partial(console.print, style="dim", highlight=False, soft_wrap=True, markup=False)
    async with turn(directory, say):
        began = time.monotonic()
        stack = Stack.laid_out_in(directory)
        if stack is None or not _serves(stack, services):
            stack = await _fresh(directory, services, jaeger, console)
            head = f"up after {time.monotonic() - began:.1f} s"
        else:
            started = await _completed(stack, jaeger, console)
            head = f"started again: {', '.join(started)}" if started else "already up"
        if stack.supervise() and head == "already up":
            head = "already up; a process that dies is restarted from now on"
        await _fill(stack, console)
    tell(directory, head, console)


async def restart(directory: Path, name: str, console: Console) -> None:
    """Stop and start one service, all its replicas one after the other, and wait until each is ready."""
    say = partial(console.print, highlight=False, soft_wrap=True, markup=False)
    async with turn(directory, say):
        stack = Stack.laid_out_in(directory)
        if stack is None:
            raise NothingRunsError(f"nothing runs in {directory}: make up")
        service, names = _meant(stack, name)
        given = _given_now(stack, service)
        stack.check(given, [service])
        if given:
            say(f"with the given {', '.join(sorted(given))}")
        try:
            with stack.changed(service, given):
                await _restarted(stack, names, say)
        except StackError as error:
            if not given:
                raise
            say(str(error))
            await _restarted(stack, names, say)
            refused = f"{service} does not start with the given {', '.join(sorted(given))}"
            raise NotKeptError(f"{refused}: it runs with its former settings") from error


def check(directory: Path) -> None:
    """Raises SettingError for settings that what runs could not be given, had they come in time."""
    layout, stack = Layout.kept_in(directory), Stack.laid_out_in(directory)
    if layout is not None and stack is not None:
        stack.check({name: os.environ[name] for name in layout.differing(os.environ)})


async def down(directory: Path, console: Console) -> None:
    say = partial(console.print, highlight=False, soft_wrap=True, markup=False)
    async with turn(directory, say):
        stopped = [name for name in await Stack(directory, services=()).down() if name != SUPERVISOR]
    if stopped:
        say(f"stopped: {', '.join(stopped)}; the data stays in {directory}")
    else:
        say(f"nothing runs in {directory}")


async def _restarted(stack: Stack, names: Sequence[str], say: Callable[[str], None]) -> None:
    for each in names:
        began = time.monotonic()
        await stack.restart(each)
        stack.describe()
        took = time.monotonic() - began
        say(f"{each} is ready again after {took:.1f} s (pid {stack.processes.pid(each)})")


def _serves(stack: Stack, services: Sequence[str]) -> bool:
    """Whether something of the stack runs, and it is one with these services."""
    return set(stack.wanted) == set(services) and any(name != SUPERVISOR for name in stack.processes)


async def _fresh(directory: Path, services: Sequence[str], jaeger: Path | None, console: Console) -> Stack:
    random_ports = os.environ.get("PORTS") == "random"
    stack = Stack(directory, services=services, random_ports=random_ports, jaeger=jaeger, mailbox=True)
    with console.status("starting MongoDB, RabbitMQ, Redis and the services"):
        await stack.up()
    return stack


async def _completed(stack: Stack, jaeger: Path | None, console: Console) -> Sequence[str]:
    if jaeger is not None and stack.jaeger is None:
        with console.status("starting Jaeger, restarting the services"):
            return await stack.trace(jaeger)
    with console.status("checking what runs"):
        return await stack.complete()


async def _fill(stack: Stack, console: Console) -> None:
    """Unless an earlier `make up` did, or nobody wants it."""
    if "gateway" not in stack.services or Seeded.kept_in(stack.seed_mark) or not wants_goods(os.environ):
        return
    try:
        with console.status("filling the shop") as status:
            seeded = await seed(stack.gateway, stack.admin, stack.customer, status.update)
    except (ShopError, aiohttp.ClientError, TimeoutError) as error:
        reason = str(error) or type(error).__name__
        raise SeedError(f"up, but not filled ({reason}); SEED=false leaves the shop empty") from error
    seeded.keep_in(stack.seed_mark)
    stack.describe()


def _given_now(stack: Stack, service: str) -> Mapping[str, str]:
    """What the environment says of the service, other than what it was started with."""
    names = changeable([service]) if service in KNOWN else frozenset[str]()
    given = {name: os.environ[name] for name in names if name in os.environ}
    return {name: value for name, value in given.items() if value != stack.setting(service, name)}


def _meant(stack: Stack, name: str) -> tuple[str, Sequence[str]]:
    """The service, and its processes. Raises UnknownServiceError."""
    replicas: Mapping[str, list[str]] = {service: [] for service in stack.wanted}
    for replica in stack.replicas:
        replicas[replica.service].append(replica.name)
        if replica.name == name != replica.service:
            return replica.service, [name]
    servers = [server for server in RESTARTABLE_SERVERS if server in stack.programs]
    if name in replicas:
        return name, replicas[name]
    if name in servers:
        return name, [name]
    which = f"{name!r} is none of them" if name else "none was named"
    known = ", ".join([*(replica.name for replica in stack.replicas), *servers])
    raise UnknownServiceError(f"{which}: make restart SERVICE=... takes {known}")
