"""The audit trail: each act leaves one entry, told by `sagactl audit`, that no service can take back."""

import json
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from pymongo import AsyncMongoClient
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import OperationFailure

from sagactl.shop import Json
from services.shared.contract.audit import TRAILS
from services.shared.database.trail import COLLECTION, database_of
from tests.forms import document
from tests.integration.saga.commands import sagactl
from tests.integration.saga.shop import Shop

SERVICES = tuple(name for name in TRAILS if name not in {"sagactl", "console"})
PASSWORD = "correct horse battery"


async def entries(shop: Shop, query: Json) -> list[Json]:
    """Over all trails, each with the name of its own."""
    return [
        entry | {"service": service}
        for service in TRAILS
        async for entry in shop.mongodb[database_of(service)][COLLECTION].find(query)
    ]


class Asking:
    """Requests of one kind of caller, each with the entries that it left."""

    def __init__(self, shop: Shop, who: str | None = None, door: str | None = None) -> None:
        self._shop, self._who, self._door = shop, who, door or shop.stack.gateway

    async def __call__(
        self, method: str, path: str, body: Json | None = None, headers: dict[str, str] | None = None
    ) -> tuple[httpx.Response, list[Json]]:
        request_id = f"audit-{uuid.uuid4().hex}"
        own = await self._shop.headers(self._who) if self._who else {}
        answer = await self._shop.http.request(
            method,
            self._door + path,
            json=body,
            headers={**own, **(headers or {}), "X-Request-ID": request_id},
        )
        return answer, await entries(self._shop, {"requestId": request_id})


def said(entry: Json) -> tuple[str, str, str, str, str]:
    return (
        *(entry["service"], entry["action"], entry["outcome"]),
        *(entry["actor"]["kind"], entry["subject"]),
    )


async def test_logins_and_what_happens_to_accounts(shop: Shop) -> None:
    ask = Asking(shop)
    login = {"email": f"{uuid.uuid4().hex}@shop.example", "password": PASSWORD}
    registered, (entry,) = await ask("post", "/auth/register", login | {"name": "Ada"})
    ada = registered.json()["userId"]
    assert said(entry) == ("auth", "account.registered", "done", "user", ada)

    session, (entry,) = await ask("post", "/auth/login", login)
    assert said(entry) == ("auth", "login", "done", "user", ada)
    assert (entry["actor"], entry["address"]) == ({"id": ada, "kind": "user"}, "127.0.0.1")
    refused, (entry,) = await ask("post", "/auth/login", login | {"password": "wrong horse"})
    assert refused.status_code == 401
    assert said(entry) == ("auth", "login", "refused", "nobody", ada)
    assert entry["reason"] == "login-failed"
    _, (entry,) = await ask("post", "/auth/login", {"email": "nobody@shop.example", "password": PASSWORD})
    assert said(entry) == ("auth", "login", "refused", "nobody", "")

    token = {"Authorization": f"Bearer {session.json()['accessToken']}"}
    change = {"currentPassword": "wrong horse", "newPassword": "another battery"}
    _, (entry,) = await ask("post", "/auth/password", change, token)
    assert said(entry) == ("auth", "password.changed", "refused", "user", ada)
    renewed, (entry,) = await ask("post", "/auth/password", change | {"currentPassword": PASSWORD}, token)
    assert said(entry) == ("auth", "password.changed", "done", "user", ada)
    token = {"Authorization": f"Bearer {renewed.json()['accessToken']}"}
    _, (entry,) = await ask("post", "/auth/logout-all", None, token)
    assert said(entry) == ("auth", "logins.ended", "done", "user", ada)


async def test_a_refresh_token_that_comes_twice(shop: Shop) -> None:
    ask = Asking(shop)
    login = {"email": f"{uuid.uuid4().hex}@shop.example", "password": PASSWORD}
    account = (await ask("post", "/auth/register", login | {"name": "Ada"}))[0].json()["userId"]
    first = (await ask("post", "/auth/login", login))[0].json()["refreshToken"]
    refreshed, none = await ask("post", "/auth/refresh", {"refreshToken": first}, {"User-Agent": "owner"})
    assert (refreshed.status_code, none) == (200, [])
    for expected in (1, 0):  # the second time the login has ended already
        refused, left = await ask("post", "/auth/refresh", {"refreshToken": first}, {"User-Agent": "thief"})
        assert (refused.status_code, len(left)) == (401, expected)
        for entry in left:
            assert said(entry) == ("auth", "token.reused", "refused", "nobody", account)
            assert first.partition(".")[0] not in json.dumps(entry, default=str)


async def test_what_administrators_do_with_accounts(shop: Shop) -> None:
    ask = Asking(shop, "admin")
    login = {"email": f"{uuid.uuid4().hex}@shop.example", "password": PASSWORD}
    ada = (await ask("post", "/auth/register", login | {"name": "Ada"}))[0].json()["userId"]
    _, (entry,) = await ask("patch", f"/auth/accounts/{ada}", {"roles": ["support"]})
    assert said(entry) == ("auth", "account.changed", "done", "user", ada)
    assert (entry["actor"]["roles"], entry["detail"]) == (["admin"], "roles: support")
    _, (entry,) = await ask("patch", f"/auth/accounts/{ada}", {"disabled": True})
    assert entry["detail"] == "disabled"
    refused, (entry,) = await ask("post", "/auth/login", login)
    assert (refused.status_code, entry["reason"], entry["outcome"]) == (403, "forbidden", "refused")
    _, (entry,) = await ask("post", f"/auth/accounts/{ada}/logout")
    assert said(entry) == ("auth", "logins.ended", "done", "user", ada)


async def test_what_administrators_do_with_products_and_stock(shop: Shop) -> None:
    ask = Asking(shop, "admin")
    lamp = await shop.product()
    _, (entry,) = await ask("patch", f"/api/products/{lamp}", {"price": "0.01"})
    assert said(entry) == ("product", "product.changed", "done", "user", lamp)
    assert entry["detail"] == "price 10.00 USD -> 0.01 USD"
    once = {"Idempotency-Key": uuid.uuid4().hex}
    path = f"/api/inventory/{lamp}/restock"
    _, (entry,) = await ask("post", path, {"quantity": 5}, once)
    assert said(entry) == ("inventory", "stock.restocked", "done", "user", lamp)
    again, none = await ask("post", path, {"quantity": 5}, once)
    assert (again.status_code, none) == (200, [])
    _, (entry,) = await ask("delete", f"/api/products/{lamp}")
    assert said(entry) == ("product", "product.deleted", "done", "user", lamp)
    new = {"name": "Torch", "price": "1.00", "currency": "USD"}
    made, (entry,) = await ask("post", "/api/products", new)
    assert said(entry) == ("product", "product.created", "done", "user", made.json()["productId"])


async def test_what_others_do_with_an_order_and_not_what_its_customer_does(shop: Shop) -> None:
    lamp = await shop.product()
    admin, alice = Asking(shop, "admin"), Asking(shop, "alice")
    operator = Asking(shop, "admin", shop.stack.services["order"])
    async with shop.frozen("payment"):
        open_ = [await shop.place({lamp: 1}) for _ in range(3)]
        _, none = await alice("post", f"/api/orders/{open_[0]}/cancel")
        assert none == []
        _, (entry,) = await admin("post", f"/api/orders/{open_[1]}/cancel")
        assert said(entry) == ("order", "order.cancelled", "done", "user", open_[1])
        await shop.is_at(open_[2], "CONFIRMED")
        stale = {"reason": "stuck", "status": "CONFIRMED", "olderThan": 0}
        _, (entry,) = await operator("post", f"/internal/orders/{open_[2]}/compensate", stale)
        assert said(entry) == ("order", "order.compensated", "done", "user", open_[2])
        _, none = await operator("post", f"/internal/orders/{open_[2]}/compensate", stale)
        assert none == []

    paid = [await shop.place({lamp: 1}) for _ in range(2)]
    for order_id in paid:
        await shop.settles(order_id, "PAID")
    _, none = await alice("post", f"/api/orders/{paid[0]}/refund", {"reason": "broken"})
    assert none == []
    reason = {"reason": "broken, says Ada Lovelace"}
    _, (entry,) = await admin("post", f"/api/orders/{paid[1]}/refund", reason)
    assert said(entry) == ("order", "order.refunded", "done", "user", paid[1])
    assert "Ada" not in json.dumps(entry, default=str), "what is typed is in the order's history alone"

    timeline = (await admin("get", f"/api/orders/{open_[1]}/timeline"))[0].json()["items"]
    (cancelled,) = [each for each in timeline if each["event"] == "CUSTOMER_CANCELLED"]
    assert (cancelled["actor"]["kind"], cancelled["actor"]["roles"]) == ("user", ["admin"])
    for order_id in (*open_, *paid):
        await shop.becomes(order_id, lambda order: order["settled"])


async def test_what_the_tools_do_is_told_with_all_the_rest_in_the_order_of_time(shop: Shop) -> None:
    letter = uuid.uuid4().hex
    lamp = await shop.product()
    assert (await sagactl(shop, "letters", "redrive", "orders", "--id", letter)).exit_code == 0
    discard = ("letters", "discard", "orders", letter, "--reason", "of another system", "--yes")
    assert (await sagactl(shop, *discard)).exit_code == 1  # there is no such letter
    assert await entries(shop, {"subject": letter}) == []
    await shop.publish("orders.dlq", b"nonsense", message_id=letter)
    assert (await sagactl(shop, *discard)).exit_code == 0
    (deleted,) = await entries(shop, {"subject": letter})
    assert said(deleted) == ("sagactl", "letter.deleted", "asked", "sagactl", letter)
    (redriven,) = await entries(shop, {"detail": letter})
    assert said(redriven) == ("sagactl", "letters.redriven", "asked", "sagactl", "orders")

    told = document((await sagactl(shop, "audit", "--since", "1h", "-o", "json")).stdout)["items"]
    assert [entry["at"] for entry in told] == sorted(entry["at"] for entry in told)
    ids = [entry["id"] for entry in told]
    (made,) = await entries(shop, {"subject": lamp, "action": "product.created"})
    assert ids.index(made["_id"]) < ids.index(redriven["_id"]) < ids.index(deleted["_id"])
    of_lamp = document((await sagactl(shop, "audit", "--subject", lamp, "-o", "json")).stdout)["items"]
    assert [entry["action"] for entry in of_lamp] == ["product.created"]
    by_boss = ("--actor", made["actor"]["id"], "--action", "product.created", "--limit", "1")
    (latest,) = document((await sagactl(shop, "audit", *by_boss, "-o", "json")).stdout)["items"]
    assert latest["id"] == made["_id"]
    assert "product.created" in (await sagactl(shop, "audit", "--subject", lamp, columns=250)).stdout


async def test_there_is_no_address_of_mail_on_any_trail(shop: Shop) -> None:
    login = {"email": f"{uuid.uuid4().hex}@shop.example", "password": PASSWORD}
    await Asking(shop)("post", "/auth/register", login | {"name": "Ada"})
    everything = json.dumps(await entries(shop, {}), default=str)
    assert "account.registered" in everything
    assert "@" not in everything


FORBIDDEN: dict[str, Callable[[AsyncCollection[Json]], Awaitable[Any]]] = {
    "read": lambda trail: trail.find_one({}),
    "change": lambda trail: trail.update_one({}, {"$set": {"subject": "another"}}),
    "replace": lambda trail: trail.replace_one({}, {"subject": "another"}),
    "remove": lambda trail: trail.delete_one({}),
    "remove all": lambda trail: trail.delete_many({}),
    "drop": lambda trail: trail.drop(),
    "rename": lambda trail: trail.rename("another"),
    "let expire": lambda trail: trail.create_index([("at", -1)], expireAfterSeconds=0),
    "keep nothing": lambda trail: trail.database.command(
        "collMod", COLLECTION, index={"name": "retention", "expireAfterSeconds": 1}
    ),
}


@pytest.mark.parametrize("service", SERVICES)
async def test_a_service_adds_to_its_own_trail_and_takes_nothing_back(shop: Shop, service: str) -> None:
    url = shop.stack.mongodb.url_of(service, shop.stack.credentials.users[service])
    mark = {"_id": uuid.uuid4().hex}
    async with AsyncMongoClient[Json](url) as client:
        trail = client[database_of(service)][COLLECTION]
        await trail.insert_one(mark)
        # It is no entry, and hides none.
        assert (await sagactl(shop, "audit", "--since", "1h")).exit_code == 0
        for attempt in FORBIDDEN.values():
            with pytest.raises(OperationFailure, match="not authorized"):
                await attempt(trail)
        for other in {*TRAILS} - {service}:
            with pytest.raises(OperationFailure, match="not authorized"):
                await client[database_of(other)][COLLECTION].insert_one({})
    everywhere = shop.mongodb[database_of(service)][COLLECTION]
    assert (await everywhere.delete_one(mark)).deleted_count == 1  # root's, and no entry


async def test_the_tools_read_all_trails_and_take_nothing_back(shop: Shop) -> None:
    async with AsyncMongoClient[Json](shop.stack.checker["mongodbUrl"]) as client:
        for service in TRAILS:
            trail = client[database_of(service)][COLLECTION]
            await trail.find_one({})
            for name, attempt in FORBIDDEN.items():
                if name != "read":
                    with pytest.raises(OperationFailure, match="not authorized"):
                        await attempt(trail)


async def test_entries_expire_after_the_retention_and_not_before(shop: Shop) -> None:
    for service in TRAILS:
        indexes = await shop.mongodb[database_of(service)][COLLECTION].index_information()
        assert indexes["retention"]["key"] == [("at", 1)]
        assert indexes["retention"]["expireAfterSeconds"] == 400 * 24 * 60 * 60
