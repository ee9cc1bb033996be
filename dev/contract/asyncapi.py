"""The contract as an AsyncAPI 3.0 document: https://www.asyncapi.com/docs/reference/specification/v3.0.0."""

from collections.abc import Iterator
from typing import Any, Final, TypeAlias

from dev.contract.contract import Contract, Schema
from services.shared.contract import topology
from services.shared.contract.events import SCHEMA_VERSION
from services.shared.engine.envelope import SCHEMA_VERSION as SCHEMA_VERSION_HEADER
from services.shared.engine.envelope import TRACEPARENT, TRACESTATE

Document: TypeAlias = dict[str, Any]
VERSION: Final = "3.0.0"
BINDING: Final = "0.3.0"
ABOUT: Final = """\
Every event of the order saga: which service publishes it, which queues it goes to, and which service consumes
it from there.

An event is published to the topic exchange with its type as the routing key. Each queue is bound to the types
that its consumer needs. AMQP properties: `message_id` is the event's id (a UUIDv5 of its cause: the same
cause gives the same id, and an id has its effect once), `correlation_id` is the id of its order or product,
`type` is its type, `timestamp` is its time, and `delivery_mode` is 2. Bodies are JSON; consumers ignore
unknown fields.

Money is a decimal string with the decimals of its currency; JSON numbers are accepted, too.
"""
HEADERS: Final[Schema] = {
    "type": "object",
    "properties": {
        SCHEMA_VERSION_HEADER: {"const": SCHEMA_VERSION, "description": "The version of the body's schema."},
        TRACEPARENT: {"type": "string", "description": "W3C trace context of the event's cause."},
        TRACESTATE: {"type": "string"},
    },
    "required": [SCHEMA_VERSION_HEADER],
}


def document(contract: Contract, version: str) -> Document:
    """`version` is the project's. The bodies' schemas are files beside the document."""
    return {
        "asyncapi": VERSION,
        "info": {
            "title": "Events of sagashop",
            "version": version,
            "description": ABOUT,
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": dict(_channels(contract)),
        "operations": dict(_operations(contract)),
        "components": {
            "messages": {type_: _message(schema) for type_, schema in contract.schemas.items()},
            "messageTraits": {"envelope": {"headers": HEADERS}},
        },
    }


def schema_file(type_: str) -> str:
    return f"{type_}.schema.json"


def _event(type_: str) -> str:
    return f"event.{type_}"


def _queue(name: str) -> str:
    return f"queue.{name}"


def _channels(contract: Contract) -> Iterator[tuple[str, Document]]:
    exchange = {"name": contract.exchange, "type": "topic", "durable": True, "autoDelete": False}
    for type_ in contract.schemas:
        yield (
            _event(type_),
            {
                "address": type_,
                "messages": _references((type_,)),
                "bindings": {"amqp": {"is": "routingKey", "exchange": exchange, "bindingVersion": BINDING}},
            },
        )
    for name, queue in contract.queues.items():
        itself = {"name": name, "durable": True, "exclusive": False, "autoDelete": False}
        yield (
            _queue(name),
            {
                "address": name,
                "description": _ladder(name),
                "messages": _references(queue.events),
                "bindings": {"amqp": {"is": "queue", "queue": itself, "bindingVersion": BINDING}},
            },
        )


def _ladder(queue: str) -> str:
    delays = ", ".join(f"{delay / 1000:g} s" for delay in topology.RETRY_DELAYS_MS)
    dead = topology.dead_letter_queue(queue)
    return f"A message that fails is retried after {delays}; then it becomes a dead letter in {dead}."


def _references(types: tuple[str, ...]) -> Document:
    return {type_: {"$ref": f"#/components/messages/{type_}"} for type_ in types}


def _operations(contract: Contract) -> Iterator[tuple[str, Document]]:
    for service, types in contract.publishes.items():
        for type_ in types:
            yield f"{service}.publishes.{type_}", _operation("send", _event(type_), (type_,))
    for name, queue in contract.queues.items():
        yield f"{queue.consumer}.consumes.{name}", _operation("receive", _queue(name), queue.events)


def _operation(action: str, channel: str, types: tuple[str, ...]) -> Document:
    to = f"#/channels/{channel}"
    return {
        "action": action,
        "channel": {"$ref": to},
        "messages": [{"$ref": f"{to}/messages/{type_}"} for type_ in types],
    }


def _message(schema: Schema) -> Document:
    type_: str = schema["title"]
    about = "orderId" if "orderId" in schema["properties"]["data"]["properties"] else "productId"
    return {
        "name": type_,
        "summary": schema["description"],
        "contentType": "application/json",
        "correlationId": {"location": f"$message.payload#/data/{about}"},
        "traits": [{"$ref": "#/components/messageTraits/envelope"}],
        "payload": {"$ref": f"./{schema_file(type_)}"},
        "bindings": {"amqp": {"messageType": type_, "bindingVersion": BINDING}},
    }
