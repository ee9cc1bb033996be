"""Gives every service its own user on the shared servers, with rights on its own things only.

Idempotent, so that it may run again at any time: users that exist get their password and rights set again.
The exchange of all events is made with the queues: no service may declare or delete what all share.
"""

import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import quote

import typer
from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import OperationFailure
from pymongo.uri_parser import parse_uri

from sagactl.provision import backup, discarding, erasing, keeping, replica_set, trails
from sagactl.provision.broker_rights import (
    BROKER_USERS,
    CONSOLE,
    TOOLS,
    permissions,
    topic_permissions,
)
from sagactl.provision.keeping import Upkeep
from sagactl.provision.management import administering, login_of
from sagactl.provision.queues import bindings, declare_all, queues
from sagactl.terminal import run
from services.shared.contract.events import ENGINES, OPTIONAL
from services.shared.urls import with_password

DATABASES: Final = tuple(sorted(("auth", *ENGINES)))
DATABASE_USERS: Final = (*DATABASES, *TOOLS)
# What the checker compares. `auth` is not in it: who reads the signing keys there may be any user.
CHECKED: Final = tuple(name for name in DATABASES if name != "auth")
USER_EXISTS: Final = 51003


async def provision_rabbitmq(
    management_url: str,
    passwords: Mapping[str, str],
    vhost: str = "/",
    nodes: int = 1,
    absent: Collection[str] = (),
) -> None:
    """Make the queues, then the users of `passwords` (user name -> password) on the broker.

    In this order: before its user is there no service publishes. `management_url` carries an administrator's
    credentials: http://admin:pw@host:15672. `nodes`: of the cluster, all of which are to have the queues.
    `absent`: the optional services that do not run.
    """
    async with administering(management_url, vhost) as broker:
        await broker.enter()
        await declare_all(broker, nodes, absent)
        for user, password in passwords.items():
            tags = "monitoring" if user in TOOLS else ""
            await broker.put(f"users/{user}", {"password": password, "tags": tags})
            await broker.put(f"permissions/{broker.room}/{user}", permissions(user))
            await broker.put(f"topic-permissions/{broker.room}/{user}", topic_permissions(user))


async def lacking_in_rabbitmq(
    management_url: str, users: Iterable[str], vhost: str = "/", absent: Collection[str] = ()
) -> Sequence[str]:
    """What is not there of these users, all queues and their bindings: of all in a broker that came back
    empty; of a binding that somebody deleted, and to whose queue nothing comes.
    """
    async with administering(management_url, vhost) as broker:
        no_queues = {queue.name for queue in queues()} - await broker.names("queues")
        unbound = {*bindings(absent)} - await broker.bindings()
        no_users = set(users) - await broker.users()
    return [
        *(f"the queue {name}" for name in sorted(no_queues)),
        *(f"the binding of {each.queue} to {each.exchange} by {each.key}" for each in sorted(unbound)),
        *(f"the user {name}" for name in sorted(no_users)),
    ]


async def provision_mongodb(
    url: str,
    passwords: Mapping[str, str],
    retention_days: int = trails.RETENTION_DAYS,
    discarded_days: int = discarding.KEPT_DAYS,
) -> None:
    """Make the audit trails, the place of discarded letters, and the users of `passwords` (user name ->
    password) in `admin`.

    `url`: a root's. `retention_days`: how long entries of the trails are kept; `discarded_days`: how long
    discarded letters are.
    """
    async with AsyncMongoClient[dict[str, Any]](url, serverSelectionTimeoutMS=5_000) as client:
        await trails.provision(client, retention_days)
        await erasing.provision(client)
        await discarding.provision(client, discarded_days)
        for user, password in passwords.items():
            await set_user(client.admin, user, password, [*roles(user), *trails.rights(user)])


def roles(user: str) -> list[dict[str, str]]:
    """Of a service, all rights on its own database; of the tools, to read what the checker compares.

    The console has a database, too: what people began there.
    """
    if user not in TOOLS:
        return [_own(user)]
    reading = [*({"role": "read", "db": name} for name in CHECKED), *trails.reading()]
    return [*reading, *discarding.rights(), *([_own(user)] if user == CONSOLE else erasing.rights())]


def _own(user: str) -> dict[str, str]:
    return {"role": "readWrite", "db": user}


async def lacking_in_mongodb(url: str, users: Iterable[str]) -> Sequence[str]:
    """Which of these users are not there: a database that came back empty has not even its root."""
    async with AsyncMongoClient[dict[str, Any]](url, serverSelectionTimeoutMS=5_000) as client:
        found = await client.admin.command("usersInfo")
        missing = set(users) - {user["user"] for user in found["users"]}
        return [f"the user {name}" for name in sorted(missing)]


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


def wanted(users: Path, known: Sequence[str]) -> tuple[str, ...]:
    """All that are known; the console and optional services only where there are, who have folders then."""
    return tuple(user for user in known if user not in {CONSOLE, *OPTIONAL} or (users / user).is_dir())


app = typer.Typer(
    help="Create the services' users on RabbitMQ and MongoDB; back up and restore databases.",
    no_args_is_help=True,
)
Users = Annotated[Path, typer.Option(help="Folder with one folder per user, which holds its connection URL.")]
AdminUrl = Annotated[
    Path, typer.Option("--admin", help="File with the URL that holds an administrator's credentials.")
]
# Where the chart has it.
ADMIN_URL: Final = Path("/var/run/secrets/sagashop.io/admin/MONGODB_URL")
Patience = Annotated[float, typer.Option(help="Seconds to wait for the servers.")]
Every = Annotated[
    float | None,
    typer.Option(min=1, help="Run forever: check every this many seconds, and create what is missing."),
]
Mark = Annotated[Path, typer.Option(help="With --every: file that has content while nothing is missing.")]
MARK: Final = Path("/tmp/whole")  # noqa: S108 - a pod's own


@app.command()
def rabbitmq(
    *,
    users: Users,
    management_url: Annotated[str, typer.Option(help="URL of the management API, without credentials.")],
    admin: Annotated[Path, typer.Option(help="Folder with an administrator's `username` and `password`.")],
    vhost: str = "/",
    nodes: Annotated[
        int, typer.Option(help="Nodes of the cluster: queues are created once all of them run.")
    ] = 1,
    patience: Patience = 300,
    every: Every = None,
    mark: Mark = MARK,
) -> None:
    """Create vhost, queues, users, permissions and topic permissions."""

    def url() -> str:
        parts = (admin / part for part in ("username", "password"))
        login = ":".join(quote(part.read_text().strip(), safe="") for part in parts)
        return management_url.replace("://", f"://{login}@", 1)

    names = wanted(users, BROKER_USERS)
    absent = OPTIONAL.difference(names)

    async def make() -> None:
        passwords = read_passwords(users, "AMQP_URL", names)
        await provision_rabbitmq(url(), passwords, vhost, nodes, absent)

    upkeep = Upkeep(make, lambda: lacking_in_rabbitmq(url(), names, vhost, absent))
    _run(upkeep, [admin, *(users / user for user in names)], patience, every, mark)
    typer.echo(f"RabbitMQ queues are there, and its users as they should be: {', '.join(names)}")


@app.command()
def mongodb(
    *,
    users: Users,
    admin: AdminUrl,
    retention: Annotated[
        int, typer.Option("--audit-days", min=1, help="Days for which entries of the audit trails are kept.")
    ] = trails.RETENTION_DAYS,
    discarded: Annotated[
        int, typer.Option("--discarded-days", min=1, help="Days for which discarded letters are kept.")
    ] = discarding.KEPT_DAYS,
    hosts: Annotated[
        str,
        typer.Option(help="host:port,... of the members of a replica set to create; empty: the set exists."),
    ] = "",
    key: Annotated[Path | None, typer.Option(help="Key file of those members.")] = None,
    name: Annotated[str, typer.Option(help="Name of that replica set.")] = "rs0",
    patience: Patience = 300,
    every: Every = None,
    mark: Mark = MARK,
) -> None:
    """Create the users, the audit trails and the collection of discarded letters; with `--hosts`, the
    replica set first.
    """
    if hosts and key is None:
        raise typer.BadParameter("--hosts needs --key")

    def url() -> str:
        return read_url(admin)

    names = wanted(users, DATABASE_USERS)

    async def make() -> None:
        if key is not None:
            await _make_set(url(), key.read_text(), hosts.split(","), name)
        passwords = read_passwords(users, "MONGODB_URL", names)
        await provision_mongodb(url(), passwords, retention, discarded)

    upkeep = Upkeep(make, lambda: lacking_in_mongodb(url(), names))
    _run(upkeep, [admin.parent, *(users / user for user in names)], patience, every, mark)
    typer.echo(f"MongoDB users are as they should be: {', '.join(names)}")


@app.command(name="backup")
def back_up(
    admin: AdminUrl = ADMIN_URL,
    only: Annotated[list[str] | None, typer.Option(help="database.collection. Without it: all.")] = None,
) -> None:
    """Write a consistent copy of all databases, as they are at this moment, to stdout."""

    async def copy() -> None:
        async for part in backup.read(read_url(admin), only or ()):
            sys.stdout.buffer.write(part)

    run(copy())


@app.command()
def restore(admin: AdminUrl = ADMIN_URL) -> None:
    """Replace the collections with those of the copy on stdin. No service may run."""
    at = run(backup.write(read_url(admin), sys.stdin.buffer))
    typer.echo(f"restored as of {at.as_datetime().isoformat()}")


async def _make_set(url: str, key: str, hosts: Sequence[str], name: str) -> None:
    """Make the set, and its root, whom `url` names."""
    (user, password), _ = login_of(url)
    tls = bool(parse_uri(url)["options"].get("tls"))
    await replica_set.initiate(name, hosts, key, tls=tls)
    async with replica_set.as_member(key, hosts, name, tls=tls) as client:
        await set_user(client.admin, user, password, [{"role": "root", "db": "admin"}])


def _run(upkeep: Upkeep, folders: Sequence[Path], patience: float, every: float | None, mark: Path) -> None:
    if every is None:
        run(keeping.make(upkeep, patience))
    else:
        run(keeping.keep(upkeep, folders, every, mark))
