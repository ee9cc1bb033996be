"""Every index of every service, as its code declares it."""

from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Final, NamedTuple

from pymongo import IndexModel

from console.work import INDEXES
from services.shared.contract.events import ENGINES
from services.shared.engine.life import ENGINE_INDEXES
from tests.unit.test_house import SERVICES

WITH_A_DATABASE: Final = [service for service in SERVICES if find_spec(f"services.{service}.queries")]


class Index(NamedTuple):
    service: str
    collection: str
    # As the database names it in plans: `{ status: 1, stateSince: 1 }`.
    keys: str


def declared() -> set[Index]:
    found: set[Index] = set()
    for service in WITH_A_DATABASE:
        found |= _of(service, import_module(f"services.{service}.queries").INDEXES)
    found |= _of("console", INDEXES)
    # Who publishes or consumes is an engine.
    for service in ENGINES:
        found |= _of(service, ENGINE_INDEXES)
    return found


def _of(service: str, indexes: Mapping[str, Sequence[IndexModel]]) -> set[Index]:
    return {
        Index(service, collection, keys(index)) for collection, models in indexes.items() for index in models
    }


def keys(index: IndexModel) -> str:
    fields = ", ".join(f"{field}: {direction}" for field, direction in index.document["key"].items())
    return f"{{ {fields} }}"
