"""The contract as one piece of data: what is published, which queues it goes to, what bodies look like.

Made of `services/shared/contract`; the documents are made of this, and what was released is a copy of it.
"""

import json
from typing import Any, Final, TypeAlias

import msgspec
from msgspec import Struct

from services.shared.contract import topology
from services.shared.contract.events import CONSUMES, EXCHANGE, PUBLISHES, Event

Schema: TypeAlias = dict[str, Any]
DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
# As msgspec writes it. JSON Schema has no such format: strict validators refuse a schema with it.
DECIMAL: Final[Schema] = {"type": "string", "format": "decimal"}
# Of what we publish: JSON numbers are read, too, and never written.
AMOUNT: Final[Schema] = {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?$"}


class Queue(Struct, frozen=True):
    consumer: str
    # Types, in the order of the contract.
    events: tuple[str, ...]
    # What it, its retry queues and its queue of dead letters are declared with.
    arguments: dict[str, dict[str, str | int]]


class Contract(Struct, frozen=True):
    exchange: str
    # Service -> types.
    publishes: dict[str, tuple[str, ...]]
    queues: dict[str, Queue]
    # Type -> JSON Schema of the whole body.
    schemas: dict[str, Schema]


def contract() -> Contract:
    """Of this tree."""
    return Contract(
        EXCHANGE,
        {service: tuple(event.type for event in events) for service, events in PUBLISHES.items()},
        {
            queue: Queue(
                service,
                tuple(event.type for event in events),
                topology.queue_arguments(service, queue),
            )
            for service, queues in CONSUMES.items()
            for queue, events in queues.items()
        },
        {event.type: schema(event) for events in PUBLISHES.values() for event in events},
    )


def schema(event: type[Event]) -> Schema:
    """Of a body as we publish it. It is open: consumers ignore fields that they do not know."""
    _, parts = msgspec.json.schema_components((event,), ref_template="#/$defs/{name}")
    data = parts.pop(event.__name__)
    described = {"description": text} if (text := data.pop("description", None)) else {}
    body: Schema = {
        "$schema": DIALECT,
        "title": event.type,
        **described,
        "type": "object",
        "properties": {"type": {"const": event.type}, "data": data},
        "required": ["type", "data"],
    }
    found: Schema = _with_amounts(body | ({"$defs": parts} if parts else {}))
    return found


def _with_amounts(node: Any) -> Any:  # noqa: ANN401  # JSON
    """What is a decimal looks like one."""
    if node == DECIMAL:
        return AMOUNT
    if isinstance(node, dict):
        return {name: _with_amounts(value) for name, value in node.items()}
    return [_with_amounts(each) for each in node] if isinstance(node, list | tuple) else node


def encoded(what: object) -> str:
    """As JSON, for people and in ASCII: a pattern names characters that no editor shows."""
    return json.dumps(msgspec.to_builtins(what), indent=2) + "\n"
