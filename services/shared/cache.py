"""The connection to Redis, which is a help and never a need: nobody waits long for it."""

from typing import Final

from redis.asyncio import Redis

TIMEOUT_SECONDS: Final = 0.5


def connect_redis(url: str) -> Redis:
    """A client whose commands fail within half a second when Redis is unavailable.

    It does not say which library it is, for which its user would need a right.
    """
    return Redis.from_url(
        url, socket_timeout=TIMEOUT_SECONDS, socket_connect_timeout=TIMEOUT_SECONDS, driver_info=None
    )
