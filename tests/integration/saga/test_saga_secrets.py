"""Secrets are planted, used, and looked for in everything that the shop leaves behind."""

import json
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Final

import aio_pika
import psutil
import pytest

from sagactl.oncall.broker import QUEUES
from sagactl.shop import Json
from services.shared.contract import topology
from tests.integration.saga.shop import Shop

# Databases that the shop keeps; MongoDB's own hold its users' hashes.
SYSTEM: Final = {"admin", "config", "local"}


async def planted(shop: Shop) -> dict[str, str]:
    """Secret -> what it is. Each was used, rightly and wrongly."""
    mark = uuid.uuid4().hex
    account = {"email": f"{mark}@shop.example", "password": f"planted-password-{mark}", "name": "Ada"}
    login = {name: account[name] for name in ("email", "password")}
    wrong, renewed = f"planted-guess-{mark}", f"planted-renewed-{mark}"
    card = f"tok_planted_{mark.translate(str.maketrans('0123456789', 'ghijklmnop'))}"
    lamp = await shop.product()

    async def ask(method: str, path: str, body: Json | None = None, token: str = "") -> Any:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return await shop.http.request(method, path, json=body, headers=headers)

    await ask("POST", "/auth/register", account)
    await ask("POST", "/auth/register", account)
    await ask("POST", "/auth/login", login | {"password": wrong})
    first = (await ask("POST", "/auth/login", login)).json()
    second = (await ask("POST", "/auth/refresh", {"refreshToken": first["refreshToken"]})).json()
    token = second["accessToken"]
    wanted = {"ids": [lamp], "quantities": [1], "paymentToken": card}
    made = await ask("POST", "/api/orders", wanted, token)
    order_id = made.json()["orderId"]
    shop.house.accepted[order_id] = shop.test
    await ask("POST", "/api/orders", wanted | {"ids": ["nowhere"]}, token)
    await ask("POST", "/api/orders", {"ids": [lamp], "paymentToken": card}, token)
    await shop.becomes(order_id, lambda order: order["settled"])
    await shop.all_heard_of_the_end(order_id)
    await ask("GET", f"/api/orders/{order_id}", token=token[:-6] + "AAAAAA")
    change = {"currentPassword": account["password"], "newPassword": renewed}
    third = (await ask("POST", "/auth/password", change, token)).json()
    for reused in (first, second):
        await ask("POST", "/auth/refresh", {"refreshToken": reused["refreshToken"]})
    await ask("POST", "/auth/login", login | {"password": account["password"]})
    credentials = shop.stack.credentials
    return {
        account["password"]: "a password",
        wrong: "a wrong password",
        renewed: "a new password",
        card: "a payment token",
        **{each[kind]: kind for each in (first, second, third) for kind in ("refreshToken", "accessToken")},
        # An access token that was spoiled on the way shows all but its last bytes.
        token.rpartition(".")[2][:80]: "the signature of an access token",
        credentials.root: "the password of the servers' root",
        credentials.admin_password: "the administrator's password",
        credentials.customer_password: "the first customer's password",
        credentials.mongodb_key: "the key of the replica set",
        credentials.secrets_key: "the key that seals",
        credentials.webhooks_key: "the key that seals secrets of endpoints",
        **{password: f"the password of {user}" for user, password in credentials.users.items()},
    }


def found(secrets: dict[str, str], where: str, text: str) -> Iterator[str]:
    yield from (f"{what}, in {where}" for secret, what in secrets.items() if secret in text)


async def test_no_secret_is_in_what_the_shop_leaves_behind(shop: Shop) -> None:
    secrets = await planted(shop)
    assert len(secrets) > 20
    await shop.all_is_published()
    leaks = [
        *(leak for name, text in logs(shop) for leak in found(secrets, name, text)),
        *(leak for name, text in command_lines(shop) for leak in found(secrets, name, text)),
        *[leak async for name, text in metrics(shop) for leak in found(secrets, name, text)],
        *[leak async for name, text in documents(shop) for leak in found(secrets, name, text)],
        *[leak async for name, text in queues(shop) for leak in found(secrets, name, text)],
        *found(secrets, "traces", traces(shop)),
    ]
    assert leaks == []


def logs(shop: Shop) -> Iterator[tuple[str, str]]:
    """Of the services, of the servers, and of what watches over them."""
    looked = 0
    for name in shop.stack.processes:
        text = shop.stack.processes.log(name).read_text(errors="replace")
        looked += bool(text)
        yield f"the log of {name}", text
    assert looked > 8


def command_lines(shop: Shop) -> Iterator[tuple[str, str]]:
    """What everybody on a machine can see of its processes."""
    for name in shop.stack.processes:
        process = psutil.Process(shop.stack.processes.pid(name))
        yield f"the command line of {name}", " ".join(process.cmdline())


async def metrics(shop: Shop) -> AsyncIterator[tuple[str, str]]:
    for replica in shop.stack.replicas:
        text = (await shop.http.get(f"{replica.url}/metrics")).text
        assert "sagashop_http_request_duration_seconds" in text
        yield f"metrics of {replica.name}", text


async def documents(shop: Shop) -> AsyncIterator[tuple[str, str]]:
    """Every document of every database, the outboxes and audit trails among them."""
    names = set(await shop.mongodb.list_database_names()) - SYSTEM
    assert {"auth", "order", "order-audit"} <= names
    for name in names:
        database = shop.mongodb[name]
        for collection in await database.list_collection_names():
            everything = [document async for document in database[collection].find()]
            yield f"{name}.{collection}", json.dumps(everything, default=repr)


async def queues(shop: Shop) -> AsyncIterator[tuple[str, str]]:
    """What waits anywhere: dead letters of all tests so far, and what is to be tried again."""
    names = [name for queue in QUEUES for name in (queue, topology.dead_letter_queue(queue))]
    async with shop.broker() as channel:
        for name in names:
            queue = await channel.get_queue(name, ensure=False)
            waiting: list[aio_pika.abc.AbstractIncomingMessage] = []
            while (message := await queue.get(fail=False)) is not None:
                waiting.append(message)
                yield name, f"{message.body.decode(errors='replace')} {message.headers}"
            for message in waiting:
                await message.nack()


def traces(shop: Shop) -> str:
    exported = shop.house.traces.exported
    assert exported
    return "".join(body.decode("latin-1") for body in exported)


def test_what_is_looked_for_is_found_where_it_is() -> None:
    """The search itself: what it is asked for and where."""
    assert [*found({"hunter2": "a password"}, "a log", "... hunter2 ...")] == ["a password, in a log"]


@pytest.mark.parametrize("name", ["stack.json", "credentials.json"])
async def test_files_with_secrets_are_their_owners_alone(shop: Shop, name: str) -> None:
    file = Path(shop.stack.directory) / name
    assert file.stat().st_mode & 0o077 == 0
