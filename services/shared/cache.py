"""The connection to Redis, which is a help and never a need: nobody waits long for it."""

from collections.abc import Iterable, Mapping
from typing import Final

from redis.asyncio import Connection, ConnectionPool, Redis, SSLConnection
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError as RedisConnectionError

TIMEOUT_SECONDS: Final = 0.5


class _Connection(AbstractConnection):
    """A connection that is lost is always told as such.

    One that Redis resets while it is made is closed by uvloop at once, before redis-py hears of it: what is
    written next is a RuntimeError there, which nobody takes for a server that is away.
    """

    async def send_packed_command(
        self,
        command: bytes | str | Iterable[bytes],
        check_health: bool = True,  # noqa: FBT001, FBT002  # redis-py's signature
    ) -> None:
        try:
            await super().send_packed_command(command, check_health)
        except RuntimeError as error:
            raise RedisConnectionError(f"the connection is closed: {error}") from error


class _Plain(_Connection, Connection):
    pass


class _ByTls(_Connection, SSLConnection):
    pass


_OURS: Final[Mapping[type[AbstractConnection], type[AbstractConnection]]] = {
    Connection: _Plain,
    SSLConnection: _ByTls,
}


def connect_redis(url: str) -> Redis:
    """A client whose commands fail within half a second when Redis is unavailable.

    It does not say which library it is, for which its user would need a right.
    """
    pool = ConnectionPool.from_url(
        url, socket_timeout=TIMEOUT_SECONDS, socket_connect_timeout=TIMEOUT_SECONDS, driver_info=None
    )
    # By its scheme, a URL says which kind of connections there are to be.
    pool.connection_class = _OURS.get(pool.connection_class, pool.connection_class)
    return Redis.from_pool(pool)
