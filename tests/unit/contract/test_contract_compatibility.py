"""What may change in the contract between releases, and what would break those who know only the last one."""

import json
from collections.abc import Callable
from typing import Any, Final

import msgspec
import pytest

from dev.contract.compatibility import breaks
from dev.contract.contract import Contract, contract, encoded
from dev.contract.files import released

CONTRACT: Final = contract()
RELEASED: Final = released()
PAID: Final = "ORDER_PAID"


@pytest.mark.parametrize("version", RELEASED)
def test_the_contract_is_still_what_was_released(version: str) -> None:
    broken = [f"since {version}, {each}" for each in breaks(RELEASED[version], CONTRACT)]
    assert broken == [], "\n".join(
        ["this would break replicas and clients that know only a release:", *broken]
    )


def test_there_is_a_release_to_be_compared_with() -> None:
    assert RELEASED


def changed(change: Callable[[Any], object]) -> Contract:
    """The contract after a change of it as JSON."""
    document = json.loads(encoded(CONTRACT))
    change(document)
    return msgspec.convert(document, Contract)


def data(document: Any, type_: str = PAID) -> Any:
    return document["schemas"][type_]["properties"]["data"]


def field(document: Any, name: str, type_: str = PAID) -> Any:
    return data(document, type_)["properties"][name]


def line(document: Any) -> Any:
    name = field(document, "products")["items"]["$ref"].rpartition("/")[2]
    return document["schemas"][PAID]["$defs"][name]


def with_field(document: Any, name: str, schema: Any, *, required: bool = False) -> None:
    data(document)["properties"][name] = schema
    if required:
        data(document)["required"] = [*data(document)["required"], name]


def with_event(document: Any, type_: str, service: str, queue: str = "") -> None:
    document["schemas"][type_] = document["schemas"][PAID]
    document["publishes"][service].append(type_)
    if queue:
        document["queues"][queue]["events"].append(type_)


def without(document: Any, type_: str) -> None:
    for types in document["publishes"].values():
        if type_ in types:
            types.remove(type_)
    for queue in document["queues"].values():
        if type_ in queue["events"]:
            queue["events"].remove(type_)
    del document["schemas"][type_]


COMPATIBLE: Final[dict[str, Callable[[Any], object]]] = {
    "nothing": lambda _: None,
    "a new optional field": lambda it: with_field(it, "name", {"type": "string", "default": ""}),
    "a new optional field of a line": lambda it: line(it)["properties"].update(
        {"colour": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None}}
    ),
    "a new event": lambda it: with_event(it, "ORDER_WRAPPED", "order"),
    "a new event on a queue that is there": lambda it: with_event(
        it, "ORDER_WRAPPED", "order", queue="notifications"
    ),
    "one more queue for an event": lambda it: it["queues"].update(
        {"new-events": {"consumer": "new-service", "events": [PAID], "arguments": {}}}
    ),
    "a new service": lambda it: it["publishes"].update({"new-service": []}),
    "other words": lambda it: (
        it["schemas"][PAID].update({"description": "Another."}),
        line(it).update({"title": "Piece"}),
    ),
    "the order of fields": lambda it: data(it).update(
        {"required": data(it)["required"][::-1], "properties": dict(reversed(data(it)["properties"].items()))}
    ),
    "the name of a part": lambda it: (
        it["schemas"][PAID].update({"$defs": {"Piece": line(it)}}),
        field(it, "products").update({"items": {"$ref": "#/$defs/Piece"}}),
    ),
}
INCOMPATIBLE: Final[dict[str, tuple[Callable[[Any], object], str]]] = {
    "a removed field": (
        lambda it: data(it)["properties"].pop("email"),
        "ORDER_PAID data.email is gone: go on writing it",
    ),
    "a removed optional field": (
        lambda it: data(it, "PAYMENT_FAILED")["properties"].pop("compensation"),
        "PAYMENT_FAILED data.compensation is gone: go on writing it",
    ),
    "a removed field of a line": (
        lambda it: line(it)["properties"].pop("quantity"),
        "ORDER_PAID data.products[].quantity is gone",
    ),
    "a field that may be left out": (
        lambda it: data(it)["required"].remove("email"),
        "ORDER_PAID data.email may be left out now: go on writing it always",
    ),
    "a field that must be there": (
        lambda it: data(it, "PAYMENT_FAILED")["required"].append("compensation"),
        "PAYMENT_FAILED data.compensation must be there now: leave it optional",
    ),
    "a new field that must be there": (
        lambda it: with_field(it, "name", {"type": "string"}, required=True),
        "ORDER_PAID data.name is new and must be there: give it a default",
    ),
    "another type": (
        lambda it: field(it, "email").update(type="integer"),
        "ORDER_PAID data.email has another type: leave it as it was released",
    ),
    "a smaller range": (
        lambda it: line(it)["properties"]["quantity"].update(maximum=100),
        "ORDER_PAID data.products[].quantity has another maximum",
    ),
    "a larger range": (
        lambda it: line(it)["properties"]["quantity"].update(maximum=10**9),
        "ORDER_PAID data.products[].quantity has another maximum",
    ),
    "a new limit": (
        lambda it: field(it, "currency").update(pattern="^[A-Z]{3}$"),
        "ORDER_PAID data.currency has another pattern",
    ),
    "one more value": (
        lambda it: field(it, "fulfilment", "INVENTORY_RESERVE_REQUEST")["enum"].append("some"),
        "INVENTORY_RESERVE_REQUEST data.fulfilment has another enum",
    ),
    "one value less": (
        lambda it: field(it, "fulfilment", "INVENTORY_RESERVE_REQUEST")["enum"].remove("all"),
        "INVENTORY_RESERVE_REQUEST data.fulfilment has another enum",
    ),
    "another default": (
        lambda it: field(it, "compensation", "PAYMENT_FAILED").update(default=True),
        "PAYMENT_FAILED data.compensation has another default",
    ),
    "null where there was none": (
        lambda it: data(it)["properties"].update(email={"anyOf": [{"type": "string"}, {"type": "null"}]}),
        "ORDER_PAID data.email has another anyOf and maxLength and type",
    ),
    "another limit of what may be null": (
        lambda it: field(it, "paymentToken", "ORDER_CONFIRMED")["anyOf"][0].update(maxLength=9),
        "ORDER_CONFIRMED data.paymentToken has another anyOf",
    ),
    "a removed event": (lambda it: without(it, PAID), "ORDER_PAID is gone: go on publishing it"),
    "an event of another service": (
        lambda it: (it["publishes"]["order"].remove(PAID), it["publishes"]["payment"].append(PAID)),
        "ORDER_PAID is no longer published by order: leave it there",
    ),
    "a removed queue": (
        lambda it: it["queues"].pop("payment-events"),
        "queue payment-events is gone: let payment go on consuming it",
    ),
    "a queue of another service": (
        lambda it: it["queues"]["notifications"].update(consumer="mail"),
        "queue notifications is consumed by mail instead of notification: let notification go on",
    ),
    "an event less on a queue": (
        lambda it: it["queues"]["notifications"]["events"].remove(PAID),
        "queue notifications no longer takes ORDER_PAID: go on taking it",
    ),
    "other arguments of a queue": (
        lambda it: it["queues"]["orders"]["arguments"]["orders"].update({"x-delivery-limit": 3}),
        "queue orders is declared with other arguments: make a queue of another name",
    ),
    "another exchange": (
        lambda it: it.update(exchange="events"),
        "exchange saga.events is called events: keep its name",
    ),
}


@pytest.mark.parametrize("change", COMPATIBLE.values(), ids=COMPATIBLE)
def test_what_is_beside_the_released_contract_breaks_nobody(change: Callable[[Any], object]) -> None:
    assert list(breaks(CONTRACT, changed(change))) == []


@pytest.mark.parametrize(("change", "said"), INCOMPATIBLE.values(), ids=INCOMPATIBLE)
def test_what_breaks_somebody_is_told_in_a_sentence_with_what_to_do_instead(
    change: Callable[[Any], object], said: str
) -> None:
    told = [str(each) for each in breaks(CONTRACT, changed(change))]
    assert any(each.startswith(said) for each in told), told
    assert all("\n" not in each and ": " in each for each in told)


def test_a_part_of_what_may_be_null_is_compared_too() -> None:
    def nested(kind: str) -> Contract:
        action = {"type": "object", "properties": {"url": {"type": kind}}, "required": ["url"]}
        return changed(lambda it: with_field(it, "next", {"anyOf": [action, {"type": "null"}]}))

    assert list(breaks(nested("string"), nested("string"))) == []
    (found,) = breaks(nested("string"), nested("integer"))
    assert found.where == "ORDER_PAID data.next.url"
