"""Makes a MongoDB replica set of its members, once: safe to run again, at any time, from anywhere.

It speaks to the members as `__system`, the identity that their shared key file gives them. That works over
the network and before any user exists; the localhost exception would need a shell in a member's pod.
"""

from collections.abc import Sequence
from typing import Any, Final

from pymongo import AsyncMongoClient
from pymongo.errors import OperationFailure, ServerSelectionTimeoutError

NOT_YET_INITIALIZED: Final = 94
SERVER_SELECTION_MS: Final = 5_000


class WrongMembersError(RuntimeError):
    """The members that run are not the members asked for, in a way that only a person should mend."""


def as_member(
    key: str, hosts: Sequence[str], name: str | None = None, *, tls: bool = False
) -> AsyncMongoClient[dict[str, Any]]:
    """Log in to the set of that name, or to one host, with the members' own rights, which are all rights."""
    return AsyncMongoClient(
        list(hosts),
        username="__system",
        password="".join(key.split()),
        authSource="local",
        authMechanism="SCRAM-SHA-256",
        serverSelectionTimeoutMS=SERVER_SELECTION_MS,
        replicaSet=name,
        directConnection=name is None,
        tls=tls,
    )


async def initiate(name: str, hosts: Sequence[str], key: str, *, tls: bool = False) -> None:
    """Initiate the set through its first host, or add the hosts that an initiated set lacks.

    Every host must answer before a set is initiated: one that does not might hold the data of an
    initiated set, and a second initiation would make a second set. Where one of them knows the set, the
    others may be away.
    """
    away: ServerSelectionTimeoutError | None = None
    for host in hosts:
        try:
            known = await _config(host, key, tls=tls)
        except ServerSelectionTimeoutError as error:
            away = error
            continue
        if known:
            await _add_missing(name, hosts, key, tls=tls)
            return
    if away is not None:
        raise away
    members = [{"_id": number, "host": host} for number, host in enumerate(hosts)]
    async with as_member(key, hosts[:1], tls=tls) as first:
        await first.admin.command("replSetInitiate", {"_id": name, "members": members})


async def _config(host: str, key: str, *, tls: bool) -> dict[str, Any] | None:
    async with as_member(key, [host], tls=tls) as member:
        try:
            answer = await member.admin.command("replSetGetConfig")
        except OperationFailure as error:
            if error.code == NOT_YET_INITIALIZED:
                return None
            raise
    config: dict[str, Any] = answer["config"]
    return config


async def _add_missing(name: str, hosts: Sequence[str], key: str, *, tls: bool) -> None:
    async with as_member(key, hosts, name, tls=tls) as client:
        config = (await client.admin.command("replSetGetConfig"))["config"]
        present = {member["host"] for member in config["members"]}
        if gone := present - set(hosts):
            raise WrongMembersError(
                f"take {', '.join(sorted(gone))} out of the set by hand before its pods go"
            )
        for host in hosts:
            if host not in present:
                await _config(host, key, tls=tls)  # one that does not answer would vote, too, by its absence
                # One voting member per reconfiguration: MongoDB allows no more.
                config["version"] += 1
                config["members"].append({"_id": 1 + max(m["_id"] for m in config["members"]), "host": host})
                await client.admin.command("replSetReconfig", config, maxTimeMS=60_000)
