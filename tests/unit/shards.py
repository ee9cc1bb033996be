"""By which key docs/capacity.md says that each collection would be sharded, and what is asked without it."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeAlias

from services.shared.contract.events import ENGINES
from tests.unit.indexes import Index
from tests.unit.test_house import ROOT

# What MongoDB's profiler keeps of a command.
Operation: TypeAlias = dict[str, Any]
DOCUMENT: Final = ROOT / "docs" / "capacity.md"
KEY: Final = "_id"
NOT_SHARDED: Final = re.compile(
    r"^\| (?P<services>[a-z ]+) \| `(?P<collection>\w+)` \| [^`|]+ \|$", re.MULTILINE
)
ASKED: Final = re.compile(
    r"^\| (?P<services>[a-z ]+) \| `(?P<collection>\w+)` \| `(?P<keys>{[^`]+})` \| .+ \|$", re.MULTILINE
)


def not_sharded() -> list[tuple[str, str]]:
    """Service and collection."""
    return [
        (service, row["collection"])
        for row in NOT_SHARDED.finditer(DOCUMENT.read_text())
        for service in _services(row["services"])
    ]


def asked_of_all() -> list[Index]:
    """The indexes that are asked without a shard key."""
    return [
        Index(service, row["collection"], row["keys"])
        for row in ASKED.finditer(DOCUMENT.read_text())
        for service in _services(row["services"])
    ]


def asked_of_all_shards(operations: Iterable[Operation]) -> list[Operation]:
    """Those that do not say, by the shard key of what they ask for, which shard has it."""
    return [operation for operation in operations if not _is_routed(operation)]


def is_in_a_transaction(operation: Operation) -> bool:
    return "autocommit" in operation["command"]


def command_of(operation: Operation) -> Mapping[str, Any]:
    """The one whose answer goes on, where this asks for more of it."""
    command: Mapping[str, Any] = operation.get("originatingCommand") or operation["command"]
    return command


def _is_routed(operation: Operation) -> bool:
    service, _, collection = operation["ns"].partition(".")
    command = command_of(operation)
    if (service, collection) in WHOLE or operation["op"] == "insert" or "listIndexes" in command:
        return True
    first = command.get("pipeline", [{}])[0]
    asked = next(
        (command[name] for name in ("filter", "q", "query") if name in command), first.get("$match", {})
    )
    wanted = asked.get(KEY)
    return bool({"$in", "$eq"} & wanted.keys()) if isinstance(wanted, Mapping) else wanted is not None


def _services(named: str) -> tuple[str, ...]:
    return tuple(ENGINES) if named == "those with events" else (named,)


WHOLE: Final = frozenset(not_sharded())
