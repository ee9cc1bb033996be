"""docs/capacity.md says of every collection by what it is sharded, and what is asked without that."""

from importlib import import_module
from typing import Any, Final

from tests.unit.indexes import WITH_A_DATABASE, Index, declared
from tests.unit.shards import (
    WHOLE,
    Operation,
    asked_of_all,
    asked_of_all_shards,
    not_sharded,
)


def test_what_is_not_sharded_is_named_once() -> None:
    named = not_sharded()
    assert {("auth", "users"), ("product", "engine")} <= set(named)
    assert ("order", "orders") not in named
    assert len(set(named)) == len(named)


def test_what_is_asked_of_all_shards_has_an_index_and_is_named_once() -> None:
    named = asked_of_all()
    own = {Index(each.service, each.collection, "{ _id: 1 }") for each in named}
    assert set(named) <= declared() | own
    assert len(set(named)) == len(named)


def test_what_is_asked_of_all_shards_is_sharded() -> None:
    assert not {(each.service, each.collection) for each in asked_of_all()} & WHOLE


def test_a_collection_with_a_unique_index_is_not_sharded() -> None:
    """A shard sees no duplicate on another one."""
    unique = {
        (service, collection)
        for service in WITH_A_DATABASE
        for collection, indexes in import_module(f"services.{service}.queries").INDEXES.items()
        if any(index.document.get("unique") for index in indexes)
    }
    assert unique == {("auth", "users")}
    assert unique <= WHOLE


def operation(namespace: str, command: dict[str, Any], op: str = "query") -> Operation:
    return {"ns": namespace, "op": op, "command": command}


ROUTED: Final = (
    operation("order.orders", {"find": "orders", "filter": {"_id": "x", "customerId": "y"}}),
    operation("order.orders", {"find": "orders", "filter": {"_id": {"$in": ["x"]}}}),
    operation("order.orders", {"q": {"_id": "x"}, "u": {}}, "update"),
    operation("order.orders", {"insert": "orders"}, "insert"),
    operation("auth.users", {"find": "users", "filter": {"email": "x"}}),
)
ASKED_OF_ALL: Final = (
    operation("order.orders", {"find": "orders", "filter": {"customerId": "y"}}),
    operation("order.orders", {"find": "orders", "filter": {"_id": {"$lt": "x"}}}),
    operation("order.orders", {"q": {"status": "PAID"}, "u": {}}, "update"),
    operation("order.orders", {"aggregate": "orders", "pipeline": [{"$match": {"status": "PAID"}}]}),
    operation("order.orders", {"count": "orders"}, "command"),
    {
        **operation("order.orders", {"getMore": 1}, "getmore"),
        "originatingCommand": {"find": "orders", "filter": {"status": "PAID"}},
    },
)


def test_what_carries_the_shard_key_is_told_from_what_does_not() -> None:
    assert asked_of_all_shards([*ROUTED, *ASKED_OF_ALL]) == [*ASKED_OF_ALL]
