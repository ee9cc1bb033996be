"""What is around an engine, outside its process: its servers, and whoever started it.

The simulation (`dev/simulate`) puts servers in memory there, and runs the engine as it is.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

from pymongo import AsyncMongoClient
from redis.asyncio import Redis

from services.shared.cache import connect_redis
from services.shared.database.store import Document, connect
from services.shared.engine.links import Connect, connect_broker
from services.shared.health import terminate


class Surroundings(NamedTuple):
    database: Callable[[str], AsyncMongoClient[Document]] = connect
    redis: Callable[[str], Redis] = connect_redis
    broker: Connect = connect_broker
    # Ends the process, because a part of it has died.
    end: Callable[[], None] = terminate


REAL: Final = Surroundings()
