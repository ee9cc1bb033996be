"""Gives every service its own user on the shared servers, with rights on its own things only.

Idempotent, so that a job may run it at every release: users that exist get their password and rights set
again. The exchange of all events is made with the queues: no service may declare or delete what all share.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import quote

import aiohttp
import typer
from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import OperationFailure, PyMongoError
from pymongo.uri_parser import parse_uri

from sagactl.provision import erasing, replica_set, trails
from sagactl.provision.broker_rights import BROKER_USERS, CONTROL, permissions, topic_permissions
from sagactl.provision.management import administering, login_of
from sagactl.provision.queues import declare_all
from services.shared.urls import with_password

DATABASES: Final = ("auth", "inventory", "notification", "order", "payment", "product")
DATABASE_USERS: Final = (*DATABASES, CONTROL)
# What the checker compares. `auth` is not in it: who reads the signing keys there may be any user.
CHECKED: Final = tuple(name for name in DATABASES if name != "auth")
USER_EXISTS: Final = 51003
RETRY_SECONDS: Final = 2


async def provision_rabbitmq(
    management_url: str, passwords: Mapping[str, str], vhost: str = "/", nodes: int = 1
) -> None:
    """Make the queues, then the users of `passwords` (user name -> password) on the broker.

    In this order: before its user is there no service publishes. `management_url` carries an administrator's
    credentials: http://admin:pw@host:15672. `nodes`: of the cluster, all of which are to have the queues.
    """
    async with administering(management_url, vhost) as broker:
        await broker.enter()
        await declare_all(broker, nodes)
        for user, password in passwords.items():
            tags = "monitoring" if user == CONTROL else ""
            await broker.put(f"users/{user}", {"password": password, "tags": tags})
            await broker.put(f"permissions/{broker.room}/{user}", permissions(user))
            await broker.put(f"topic-permissions/{broker.room}/{user}", topic_permissions(user))


async def provision_mongodb(
    url: str, passwords: Mapping[str, str], retention_days: int = trails.RETENTION_DAYS
) -> None:
    """Make the audit trails, and the users of `passwords` (user name -> password) in `admin`.

    `url`: a root's. `retention_days`: how long entries of the trails are kept.
    """
    async with AsyncMongoClient[dict[str, Any]](url, serverSelectionTimeoutMS=5_000) as client:
        await trails.provision(client, retention_days)
        await erasing.provision(client)
        for user, password in passwords.items():
            roles = (
                [{"role": "read", "db": name} for name in CHECKED] + trails.reading() + erasing.rights()
                if user == CONTROL
                else [{"role": "readWrite", "db": user}]
            )
            await set_user(client.admin, user, password, [*roles, *trails.rights(user)])


async def set_user(
    admin: AsyncDatabase[dict[str, Any]], user: str, password: str, roles: list[dict[str, str]]
) -> None:
    """Make the user, or give the one that is there this password and these roles, and no others."""
    # MongoDB would keep the password for SCRAM-SHA-1 as well.
    wanted: dict[str, Any] = {"pwd": password, "roles": roles, "mechanisms": ["SCRAM-SHA-256"]}
    try:
        await admin.command("createUser", user, **wanted)
    except OperationFailure as error:
        if error.code != USER_EXISTS:
            raise
        await admin.command("updateUser", user, **wanted)


def read_url(file: Path) -> str:
    """Read a connection URL; what is not in it of its login is in the file *_PASSWORD beside *_URL."""
    beside = file.with_name(file.name.replace("_URL", "_PASSWORD"))
    password = beside.read_text().strip() if beside != file and beside.exists() else ""
    return with_password(file.read_text().strip(), password)


def read_passwords(users: Path, key: str, expected: tuple[str, ...]) -> dict[str, str]:
    """Take the passwords from the URLs that the services themselves are given: <users>/<user>/<key>."""
    passwords = {}
    for user in expected:
        (name, password), _ = login_of(read_url(users / user / key))
        if name != user:
            raise typer.BadParameter(f"the {key} of {user} names the user {name!r}; it must name {user!r}")
        passwords[user] = password
    return passwords


async def _persist(step: Callable[[], Awaitable[None]], seconds: float) -> None:
    """Try until it works: the servers start at the same time as this does."""
    retried = (aiohttp.ClientError, PyMongoError, OSError, TimeoutError)
    async with asyncio.timeout(seconds):
        while True:
            try:
                return await step()
            except retried as error:
                if isinstance(error, aiohttp.ClientResponseError) and error.status == HTTPStatus.BAD_REQUEST:
                    raise
                typer.echo(f"not yet: {error}", err=True)
            await asyncio.sleep(RETRY_SECONDS)


app = typer.Typer(help="Make the services' users on RabbitMQ and MongoDB.", no_args_is_help=True)
Users = Annotated[Path, typer.Option(help="Folder with a folder per user, holding its connection URL.")]
Admin = Annotated[Path, typer.Option(help="File with the URL that holds an administrator's credentials.")]
Patience = Annotated[float, typer.Option(help="Seconds to wait for the servers.")]


@app.command()
def rabbitmq(
    users: Users,
    management_url: Annotated[str, typer.Option(help="The management API, without credentials.")],
    admin: Annotated[Path, typer.Option(help="Folder with an administrator's `username` and `password`.")],
    vhost: str = "/",
    nodes: Annotated[int, typer.Option(help="Of the cluster: queues are made once all of them run.")] = 1,
    patience: Patience = 300,
) -> None:
    """Make vhost, queues, users, permissions and topic permissions."""
    passwords = read_passwords(users, "AMQP_URL", BROKER_USERS)
    login = ":".join(quote((admin / part).read_text().strip(), safe="") for part in ("username", "password"))
    url = management_url.replace("://", f"://{login}@", 1)
    asyncio.run(_persist(lambda: provision_rabbitmq(url, passwords, vhost, nodes), patience))
    typer.echo(f"RabbitMQ queues are there, and its users as they should be: {', '.join(passwords)}")


@app.command()
def mongodb(
    users: Users,
    admin: Admin,
    retention: Annotated[
        int, typer.Option("--audit-days", min=1, help="Days for which entries of the audit trails are kept.")
    ] = trails.RETENTION_DAYS,
    patience: Patience = 300,
) -> None:
    """Make the users and the audit trails of a MongoDB that is already a replica set."""
    passwords = read_passwords(users, "MONGODB_URL", DATABASE_USERS)
    url = read_url(admin)
    asyncio.run(_persist(lambda: provision_mongodb(url, passwords, retention), patience))
    typer.echo(f"MongoDB users are as they should be: {', '.join(passwords)}")


@app.command(name="replica-set")
def initiate(
    hosts: Annotated[str, typer.Option(help="host:port,... of the members; the first one initiates.")],
    key: Annotated[Path, typer.Option(help="The members' key file.")],
    admin: Admin,
    name: str = "rs0",
    patience: Patience = 300,
) -> None:
    """Initiate a replica set, or add new members to it, and make its root user."""
    secret, members, url = key.read_text(), hosts.split(","), read_url(admin)
    (user, password), _ = login_of(url)
    tls = bool(parse_uri(url)["options"].get("tls"))

    async def root() -> None:
        async with replica_set.as_member(secret, members, name, tls=tls) as client:
            await set_user(client.admin, user, password, [{"role": "root", "db": "admin"}])

    asyncio.run(_persist(lambda: replica_set.initiate(name, members, secret, tls=tls), patience))
    asyncio.run(_persist(root, patience))
    typer.echo(f"replica set {name}: {hosts}")
