"""RabbitMQ's management API, as an administrator, about one virtual host."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import aiohttp
from yarl import URL

from services.shared.contract.topology import Binding, bindings_told

ADMINISTRATOR = {"configure": ".*", "write": ".*", "read": ".*"}


class Management:
    """Each method raises aiohttp.ClientError, and TimeoutError."""

    def __init__(self, session: aiohttp.ClientSession, base: str, user: str, vhost: str) -> None:
        self._session, self._base, self._user = session, base, user
        self.room = quote(vhost, safe="")

    async def put(self, path: str, body: Mapping[str, Any]) -> None:
        """Make something, or have it as it is said here."""
        async with self._session.put(self._at(path), json=body) as answer:
            answer.raise_for_status()

    async def post(self, path: str, body: Mapping[str, Any]) -> None:
        async with self._session.post(self._at(path), json=body) as answer:
            answer.raise_for_status()

    async def delete(self, path: str) -> None:
        """What is not there is deleted already."""
        async with self._session.delete(self._at(path)) as answer:
            if answer.status != HTTPStatus.NOT_FOUND:
                answer.raise_for_status()

    async def names(self, kind: str) -> frozenset[str]:
        """Of all things of a kind in the virtual host."""
        async with self._session.get(self._at(f"{kind}/{self.room}?columns=name")) as answer:
            answer.raise_for_status()
            return frozenset(each["name"] for each in await answer.json())

    async def bindings(self) -> frozenset[Binding]:
        """Of all queues in the virtual host."""
        columns = "source,destination,destination_type,routing_key"
        async with self._session.get(self._at(f"bindings/{self.room}?columns={columns}")) as answer:
            answer.raise_for_status()
            return frozenset(bindings_told(await answer.json()))

    async def users(self) -> frozenset[str]:
        async with self._session.get(self._at("users?columns=name")) as answer:
            answer.raise_for_status()
            return frozenset(each["name"] for each in await answer.json())

    async def running_nodes(self) -> int:
        async with self._session.get(self._at("nodes?columns=running")) as answer:
            answer.raise_for_status()
            return sum(bool(node.get("running")) for node in await answer.json())

    async def enter(self) -> None:
        """Make the virtual host where it is missing, and be allowed to make things in it."""
        await self.put(f"vhosts/{self.room}", {})
        own = f"permissions/{self.room}/{quote(self._user, safe='')}"
        async with self._session.get(self._at(own)) as answer:
            if answer.status != HTTPStatus.NOT_FOUND:
                answer.raise_for_status()
                return
        await self.put(own, ADMINISTRATOR)

    def _at(self, path: str) -> URL:
        return URL(f"{self._base}/api/{path}", encoded=True)


@asynccontextmanager
async def administering(url: str, vhost: str) -> AsyncIterator[Management]:
    """`url` carries an administrator's credentials: http://admin:pw@host:15672."""
    (user, password), base = login_of(url)
    timeout = aiohttp.ClientTimeout(total=10)
    headers = {"Authorization": aiohttp.encode_basic_auth(user, password)}
    async with aiohttp.ClientSession(headers=headers, timeout=timeout) as session:
        yield Management(session, base, user, vhost)


def login_of(url: str) -> tuple[tuple[str, str], str]:
    """((user, password), URL without them)."""
    parts = urlsplit(url)
    user, _, password = parts.netloc.rpartition("@")[0].partition(":")
    bare = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl().rstrip("/")
    return (unquote(user), unquote(password)), bare
