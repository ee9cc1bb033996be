"""Every query of the catalogue. Single products come from Redis, where it has them.

Redis may be unavailable (reads are slower then) and stale for up to `FRESH_SECONDS`: a reader that was
overtaken by a change can put back what the change removed.
"""

import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple

import msgspec
from pymongo import ASCENDING, IndexModel
from redis.asyncio import Redis
from redis.exceptions import RedisError

from services.product.domain import Product
from services.shared.database import idempotency
from services.shared.database.store import Store, readable
from services.shared.http.cursors import Cursor

FRESH_SECONDS: Final = 10
# After an error Redis is not asked for a while, so that not every read waits for it.
PAUSE_SECONDS: Final = 5.0
# The oldest first: products that are added while a client pages appear at the end.
ORDER: Final = (("createdAt", ASCENDING), ("_id", ASCENDING))
INDEXES: Final = {
    Product.collection: (IndexModel([("deleted", ASCENDING), *ORDER]),),
    **idempotency.INDEXES,
}
_DECODER: Final = msgspec.json.Decoder(Product)
log = logging.getLogger(__name__)


class Page(NamedTuple):
    products: Sequence[Product]
    next: Cursor | None


class Catalogue:
    def __init__(self, store: Store, redis: Redis) -> None:
        self._products = store.collection(Product)
        self._redis = redis
        self._paused_until = 0.0

    async def page(self, limit: int, after: Cursor | None) -> Page:
        query: dict[str, Any] = {"deleted": False}
        if after is not None:
            # The first bound is where the index is entered: without it the database may read the list from
            # its start. The second is for products of the same millisecond.
            query["createdAt"] = {"$gte": after.at}
            query["$or"] = [{"createdAt": {"$gt": after.at}}, {"_id": {"$gt": after.id}}]
        found = await self._products.find(query).sort(ORDER).limit(limit + 1).to_list()
        last = found[limit - 1] if len(found) > limit else None
        products = readable(Product, found[:limit])
        return Page(products, None if last is None else Cursor(last["createdAt"], last["_id"]))

    async def several(self, ids: Iterable[str]) -> list[Product]:
        """Return those of `ids` that exist and are not deleted, in that order."""
        wanted = list(dict.fromkeys(ids))
        found = await self._remembered(wanted)
        missing = [id_ for id_ in wanted if id_ not in found]
        if missing:
            query = {"_id": {"$in": missing}, "deleted": False}
            documents = await self._products.find(query).to_list()
            stored = {product.id: product for product in readable(Product, documents)}
            await self._remember(stored.values())
            found |= stored
        return [found[id_] for id_ in wanted if id_ in found]

    async def one(self, id_: str) -> Product | None:
        return next(iter(await self.several([id_])), None)

    # --- Redis ------------------------------------------------------------------------------------------

    async def forget(self, id_: str) -> None:
        """Remove a product from the cache, after a change."""
        if self._paused():
            return
        try:
            await self._redis.delete(_name(id_))
        except (RedisError, OSError) as error:
            self._pause(error)

    async def _remembered(self, ids: Sequence[str]) -> dict[str, Product]:
        if not ids or self._paused():
            return {}
        try:
            values = await self._redis.mget([_name(id_) for id_ in ids])
        except (RedisError, OSError) as error:
            self._pause(error)
            return {}
        return dict(_decoded(zip(ids, values, strict=True)))

    async def _remember(self, products: Iterable[Product]) -> None:
        if self._paused():
            return
        pipeline = self._redis.pipeline(transaction=False)
        for product in products:
            pipeline.set(_name(product.id), msgspec.json.encode(product), ex=FRESH_SECONDS)
        try:
            await pipeline.execute()
        except (RedisError, OSError) as error:
            self._pause(error)

    def _paused(self) -> bool:
        return time.monotonic() < self._paused_until

    def _pause(self, error: Exception) -> None:
        self._paused_until = time.monotonic() + PAUSE_SECONDS
        log.warning("Redis is unavailable, products are read from the database alone: %s", error)


def _decoded(values: Iterable[tuple[str, bytes | str | None]]) -> Iterator[tuple[str, Product]]:
    """What is no product is as good as not there: the database has it."""
    for id_, value in values:
        with suppress(msgspec.DecodeError):
            if value:
                yield id_, _DECODER.decode(value)


def _name(id_: str) -> str:
    # The number is that of the stored form: count it up when Product changes, for old and new replicas
    # run side by side during an upgrade.
    return f"product:1:{id_}"
