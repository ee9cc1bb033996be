"""A whole shop that is reached by TLS alone: it sells, and no server with a wrong name is believed."""

import asyncio
import json
import os
import re
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import urlsplit

import aiohttp
import pytest

from dev.services import REPOSITORY
from sagactl.exits import Exit
from services.shared.cache import connect_redis
from services.shared.database.store import connect
from services.shared.engine.links import connect_broker
from tests.authority import Authority

pytestmark = pytest.mark.long

HERE: Final = "127.0.0.1"
# Everything is on loopback, and a certificate has names or none: a shop that is up is so within this.
STARTS_WITHIN: Final = 240


class Shop(NamedTuple):
    """What the stack says of itself, the authority of its certificate, and one that is none of it."""

    stack: Mapping[str, str]
    directory: Path
    authority: Path
    stranger: Path
    # A certificate and its key.
    identity: tuple[Path, Path]

    def environment(self, believed: Path) -> Mapping[str, str]:
        return {**os.environ, "STACK_DIR": str(self.directory), "SSL_CERT_FILE": str(believed)}


def run(environment: Mapping[str, str], *module: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - our own
        [sys.executable, "-m", *module],
        cwd=REPOSITORY,
        env=environment,
        text=True,
        capture_output=True,
        timeout=STARTS_WITHIN,
        check=False,
    )


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    directory = tmp_path_factory.mktemp("tls")
    authority, stranger = (Authority.made_in(directory / name) for name in ("own", "stranger"))
    certificate, key = authority.identity(HERE)
    environment = {
        **os.environ,
        "STACK_DIR": str(directory / "stack"),
        "PORTS": "random",
        "SEED": "false",
        "TLS_CERT_FILE": str(certificate),
        "TLS_KEY_FILE": str(key),
        "SSL_CERT_FILE": str(authority.file),
    }
    try:
        up = run(environment, "dev", "up")
        assert up.returncode == 0, up.stdout
        stack = json.loads((directory / "stack" / "stack.json").read_text())
        yield Shop(stack, directory / "stack", authority.file, stranger.file, (certificate, key))
    finally:
        run(environment, "dev", "down")


def free_port() -> int:
    with socket.create_server((HERE, 0)) as taken:
        return int(taken.getsockname()[1])


def smoke(shop: Shop, believed: Path) -> subprocess.CompletedProcess[str]:
    admin = json.loads((shop.directory / "stack.json").read_text())["admin"]
    login = {"ADMIN_EMAIL": admin["email"], "ADMIN_PASSWORD": admin["password"]}
    environment = {**shop.environment(believed), **login, "GATEWAY_URL": shop.stack["gateway"]}
    return run(environment, "sagactl.smoke")


def test_an_order_is_paid_and_the_books_are_right(shop: Shop) -> None:
    bought = smoke(shop, shop.authority)
    assert "is PAID" in bought.stdout, bought.stderr
    checked = run(shop.environment(shop.authority), "sagactl", "check")
    assert checked.returncode == 0, checked.stdout


def test_customers_order_for_a_while_and_the_books_are_right(shop: Shop) -> None:
    loaded = run(shop.environment(shop.authority), "sagactl", "load", "--rate", "3", "--for", "3s")
    assert loaded.returncode == 0, loaded.stdout + loaded.stderr
    assert re.match(r"[1-9]\d* orders accepted", loaded.stdout)
    assert "Every invariant holds." in loaded.stdout


def test_a_load_generator_tells_a_checker_by_tls_what_it_was_promised(shop: Shop) -> None:
    port, (certificate, key) = free_port(), map(str, shop.identity)
    environment = shop.environment(shop.authority)
    listening = ("--port", str(port), "--certificate", certificate, "--key", key)
    with subprocess.Popen(  # noqa: S603 - our own
        [sys.executable, "-m", "sagactl", "load", "--rate", "3", *listening], cwd=REPOSITORY, env=environment
    ) as load:
        try:
            end = time.monotonic() + STARTS_WITHIN
            accepted = f"https://{HERE}:{port}/accepted"
            check = ("sagactl", "check", "--live", "--accepted", accepted, "-o", "json")
            while (checked := run(environment, *check)).returncode != 0 and time.monotonic() < end:
                time.sleep(1)
        finally:
            load.terminate()
    assert load.returncode == 0
    assert checked.returncode == 0, checked.stdout + checked.stderr
    counted = json.loads(checked.stdout)["counted"]
    assert re.search(r", [1-9]\d* known to be answered 201", counted["SAGA_ENDED"])


def test_a_tool_that_believes_another_authority_says_so(shop: Shop) -> None:
    refused = smoke(shop, shop.stranger)
    assert refused.returncode == Exit.UNREACHED
    assert "certificate verify failed" in refused.stderr


def test_a_service_that_believes_another_authority_says_so_and_begins_nothing(shop: Shop) -> None:
    environment = {
        **shop.environment(shop.stranger),
        "MONGODB_URL": shop.stack["mongodbUrl"],
        "AMQP_URL": shop.stack["amqpUrl"],
        "HOST": HERE,
        "PORT": str(free_port()),
        "LOG_FORMAT": "json",
    }
    command = [sys.executable, "-m", "services.inventory.main"]
    with subprocess.Popen(  # noqa: S603 - our own
        command, cwd=REPOSITORY, env=environment, stdout=subprocess.PIPE, text=True
    ) as service:
        assert service.stdout is not None
        try:
            complaint = next(line for line in service.stdout if "certificate verify failed" in line)
        finally:
            service.kill()
    assert json.loads(complaint)["level"] in {"warning", "error"}


async def ask_database(url: str) -> None:
    async with connect(url) as client:
        await client.admin.command("ping")


async def ask_broker(url: str) -> None:
    async with await connect_broker(url, "test"):
        pass


async def ask_redis(url: str) -> None:
    async with connect_redis(url) as redis:
        await redis.ping()


async def ask_service(url: str) -> None:
    # As aiohttp makes its own, once, when it is imported.
    context = ssl.create_default_context()
    async with aiohttp.ClientSession() as session, session.get(f"{url}/healthz", ssl=context) as answer:
        answer.raise_for_status()


CLIENTS: Final = {
    "mongodbUrl": ask_database,
    "amqpUrl": ask_broker,
    "redisUrl": ask_redis,
    "gateway": ask_service,
}


@pytest.mark.parametrize(("server", "ask"), CLIENTS.items(), ids=CLIENTS)
async def test_a_server_is_believed_by_its_name_and_its_authority(
    server: str, ask: Callable[[str], Awaitable[None]], shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = shop.stack[server]
    monkeypatch.setenv("SSL_CERT_FILE", str(shop.authority))
    await ask(url)
    with pytest.raises(Exception, match=r"(?i)hostname mismatch"):
        await ask(url.replace(HERE, "localhost").replace("replicaSet=rs0", "directConnection=true"))
    monkeypatch.setenv("SSL_CERT_FILE", str(shop.stranger))
    with pytest.raises(Exception, match="certificate verify failed"):
        await ask(url)


def ports(stack: Mapping[str, str]) -> Iterator[tuple[str, int]]:
    services: Mapping[str, str] = json.loads(json.dumps(stack["services"]))
    servers = {name: stack[name] for name in ("mongodbUrl", "amqpUrl", "managementUrl", "redisUrl")}
    for name, url in {**servers, **services}.items():
        yield name, urlsplit(url).port or 0


async def test_nothing_is_answered_to_those_who_do_not_speak_tls(shop: Shop) -> None:
    for name, port in ports(shop.stack):
        with socket.create_connection((HERE, port), timeout=10) as plain:
            said = b""
            with suppress(OSError):  # it may be gone at once
                plain.sendall(b"PING\r\n\r\n")
                plain.shutdown(socket.SHUT_WR)  # that was all: nobody waits for the rest of it
                said = await asyncio.to_thread(plain.recv, 100)
        # Nothing, or TLS's own word for "this is no TLS" (an alert).
        assert not said or said[0] == 0x15, (name, said)
