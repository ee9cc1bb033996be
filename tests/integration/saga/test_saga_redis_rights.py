"""Each service reaches its own keys in Redis, by the commands that it uses, and nothing else there."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Final

import pytest
from redis.asyncio import Redis
from redis.exceptions import AuthenticationError, NoPermissionError, ResponseError

from sagactl.polling import until
from services.gateway.limiter import Limiter
from services.gateway.limits import Budget
from services.shared.cache import connect_redis
from services.shared.contract.decisions import Message
from services.shared.contract.events import CONSUMES
from services.shared.engine.hints import Hints
from tests.integration.saga.house import PATIENCE
from tests.integration.saga.shop import Shop

OWN: Final = {
    "gateway": ["rate:address:192.0.2.1:1"],
    "product": ["product:1:lamp"],
    **{service: [f"processed:{queue}:1" for queue in queues] for service, queues in CONSUMES.items()},
}
DANGEROUS: Final = (
    "KEYS *",
    "SCAN 0",
    "DBSIZE",
    "RANDOMKEY",
    "FLUSHALL",
    "FLUSHDB",
    "CONFIG GET *",
    "ACL LIST",
    "ACL SETUSER order on nopass",
    "EVAL return 0",
    "SCRIPT FLUSH",
    "FUNCTION FLUSH",
    "CLIENT LIST",
    "MONITOR",
    "INFO",
    "SHUTDOWN NOSAVE",
    "REPLICAOF 192.0.2.1 6379",
    "SUBSCRIBE news",
    "PUBLISH news 1",
    "SELECT 1",
    "SWAPDB 0 1",
)


@asynccontextmanager
async def logged_in(shop: Shop, user: str) -> AsyncIterator[Redis]:
    async with connect_redis(shop.stack.redis.url_of(user, shop.stack.credentials.users[user])) as redis:
        yield redis


@asynccontextmanager
async def nothing_refused(shop: Shop) -> AsyncIterator[None]:
    """Redis itself keeps a list of what it refused to whom."""
    async with Redis.from_url(shop.stack.redis.url) as admin:
        await admin.acl_log_reset()
        yield
        assert await admin.acl_log(128) == []


async def said(redis: Redis, words: str) -> None:
    await redis.execute_command(*words.split())  # type: ignore[no-untyped-call]  # as redis-py has it


@pytest.mark.parametrize("user", OWN)
async def test_a_service_reaches_no_key_but_its_own(shop: Shop, user: str) -> None:
    others = [key for owner, keys in OWN.items() if owner != user for key in keys]
    async with logged_in(shop, user) as redis:
        for key in [*others, "anything", ""]:
            with pytest.raises(NoPermissionError):
                await redis.mget([key])
            for attempt in ("SET {} 1", "DEL {}", "GET {}", "INCR {}", "PEXPIRE {} 1", "RENAME {} mine"):
                with pytest.raises(NoPermissionError):
                    await said(redis, attempt.format(key or "nothing"))


@pytest.mark.parametrize("user", sorted(OWN.keys() - {"product"}))
async def test_a_script_has_no_more_rights_than_who_runs_it(shop: Shop, user: str) -> None:
    others = [key for owner, keys in OWN.items() if owner != user for key in keys]
    async with logged_in(shop, user) as redis:
        peek = redis.register_script("return redis.call('MGET', ARGV[1])")
        assert await peek(args=[OWN[user][0]]) == [None]
        for key in others:
            with pytest.raises(ResponseError, match="can't access at least one of the keys"):
                await peek(args=[key])
        for call in ("'KEYS', '*'", "'FLUSHALL'", "'PUBLISH', 'news', '1'"):
            with pytest.raises(ResponseError, match="can't run this command or subcommand"):
                await redis.register_script(f"return redis.call({call})")()


@pytest.mark.parametrize("user", OWN)
async def test_a_service_has_no_command_that_it_does_not_use(shop: Shop, user: str) -> None:
    async with logged_in(shop, user) as redis:
        for command in DANGEROUS:
            with pytest.raises(NoPermissionError):
                await said(redis, command)


async def test_nobody_gets_in_without_a_name_and_with_anothers_password(shop: Shop) -> None:
    users = shop.stack.credentials.users
    nameless = shop.stack.redis.url_of("", "").replace("/:@", "/")
    for url in (
        nameless,
        shop.stack.redis.url_of("default", shop.stack.credentials.root),
        shop.stack.redis.url_of("order", users["gateway"]),
        shop.stack.redis.url_of("auth", users["auth"]),
    ):
        async with connect_redis(url) as redis:
            with pytest.raises(AuthenticationError):
                await redis.mget(["rate:1"])


async def test_the_shop_has_all_the_rights_that_it_uses(shop: Shop) -> None:
    async with nothing_refused(shop):
        lamp = await shop.product()
        order_id = await shop.place({lamp: 1})
        await shop.settles(order_id, "PAID")
        renamed = await shop.http.patch(
            f"/api/products/{lamp}", json={"name": "Torch"}, headers=await shop.headers("admin")
        )
        assert renamed.json()["name"] == "Torch"
        async with Redis.from_url(shop.stack.redis.url) as admin:

            async def remembered() -> bool:
                found = [key async for key in admin.scan_iter("processed:*")]
                return {key.split(b":")[1] for key in found} >= {b"orders", b"inventory", b"notifications"}

            await until(remembered, within=PATIENCE, what="memories of all services")


@pytest.mark.parametrize("user", sorted(CONSUMES))
async def test_what_was_handled_is_remembered_and_found(shop: Shop, user: str) -> None:
    messages = [
        Message(id=f"{queue}-1", source=queue, body=None, at=datetime.now(UTC)) for queue in CONSUMES[user]
    ]
    async with nothing_refused(shop), logged_in(shop, user) as redis:
        hints = Hints(redis)
        writing = asyncio.create_task(hints.run())
        hints.remember(messages)

        async def found() -> bool:
            return await hints.seen(messages) == {message.id for message in messages}

        try:
            await until(found, within=PATIENCE, what="what was remembered")
        finally:
            writing.cancel()


async def test_requests_are_counted_in_redis(shop: Shop) -> None:
    async with nothing_refused(shop), logged_in(shop, "gateway") as redis:
        limiter = Limiter(redis, window_seconds=60)
        verdicts = [await limiter.judge([Budget("address:192.0.2.9", 1)]) for _ in range(2)]
        assert [verdict.has_room for verdict in verdicts] == [True, False]
        async with Redis.from_url(shop.stack.redis.url) as admin:
            assert [key async for key in admin.scan_iter("rate:address:192.0.2.9:*")]
