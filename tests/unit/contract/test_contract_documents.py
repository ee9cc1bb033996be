"""The published contract: a valid AsyncAPI document, and schemas that say what the code reads and writes."""

import gzip
import json
from collections.abc import Mapping
from datetime import UTC
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st
from jsonschema import Draft7Validator, Draft202012Validator
from msgspec import inspect

from dev.contract.asyncapi import document
from dev.contract.contract import contract
from services.shared.contract import money, wire
from services.shared.contract.events import CONSUMES, PUBLISHES, Event
from tests.unit.shared.test_wire import INVALID, PUBLISHED, QUEUES_OF
from tests.unit.vocabulary import strange

# The official schema as it is published: schemas/3.0.0.json of the npm package @asyncapi/specs 6.11.1,
# Apache-2.0, packed.
OFFICIAL: Final = Path(__file__).with_name("asyncapi-3.0.0.json.gz")
CONTRACT: Final = contract()
EVENTS: Final = [event for published in PUBLISHES.values() for event in published]
VALIDATORS: Final = {type_: Draft202012Validator(schema) for type_, schema in CONTRACT.schemas.items()}
named = pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.type)


@pytest.fixture(scope="module")
def described() -> Mapping[str, Any]:
    return document(CONTRACT, "1.2.3")


def test_the_document_is_what_asyncapi_says_a_document_is(described: Mapping[str, Any]) -> None:
    official = Draft7Validator(json.loads(gzip.decompress(OFFICIAL.read_bytes())))
    assert [error.message for error in official.iter_errors(described)] == []
    assert list(official.iter_errors({**described, "asyncapi": "2.6.0"}))


def test_whatever_the_document_refers_to_is_there(described: Mapping[str, Any]) -> None:
    for reference in references(described):
        file, _, place = reference.partition("#/")
        if file:
            assert file.removeprefix("./").removesuffix(".schema.json") in CONTRACT.schemas
        found: Any = described
        for part in filter(None, place.split("/")):
            found = found[part]


def references(node: Any) -> list[str]:
    if isinstance(node, dict):
        own = [node["$ref"]] if "$ref" in node else []
        return own + [each for value in node.values() for each in references(value)]
    return [each for value in node for each in references(value)] if isinstance(node, list) else []


def test_the_document_says_who_publishes_what_and_who_consumes_it(described: Mapping[str, Any]) -> None:
    sent = {name for name, each in described["operations"].items() if each["action"] == "send"}
    assert sent == {
        f"{service}.publishes.{event.type}" for service, kinds in PUBLISHES.items() for event in kinds
    }
    received = {
        (name, message["$ref"].rpartition("/")[2])
        for name, each in described["operations"].items()
        if each["action"] == "receive"
        for message in each["messages"]
    }
    assert received == {
        (f"{service}.consumes.{queue}", event.type)
        for service, queues in CONSUMES.items()
        for queue, kinds in queues.items()
        for event in kinds
    }


@named
def test_a_schema_is_one_and_says_what_the_event_is(event: type[Event]) -> None:
    schema = CONTRACT.schemas[event.type]
    Draft202012Validator.check_schema(schema)
    assert not [*strange(schema)]
    assert schema["description"].endswith(".")


@pytest.mark.parametrize(("event", "body"), PUBLISHED, ids=[type(event).__name__ for event, _ in PUBLISHED])
def test_every_example_of_a_message_is_as_its_schema_says(event: Event, body: str) -> None:
    VALIDATORS[event.type].validate(json.loads(body))


# What a schema cannot say: rules about several fields, currencies, and what is no JSON at all.
BEYOND_SCHEMAS: Final = (
    "named twice",
    "currency",
    "truncated",
    "malformed",
    "not UTF-8",
    "nested too deeply",
)


@pytest.mark.parametrize(
    ("queue", "body"),
    [
        (queue, body)
        for queue, body, why in INVALID
        if not any(text in why for text in BEYOND_SCHEMAS) and queue in {q for q, _ in QUEUES_OF}
    ],
)
def test_what_a_consumer_refuses_is_not_as_any_schema_of_its_queue_says(queue: str, body: bytes) -> None:
    for kind in (event for of, event in QUEUES_OF if of == queue):
        assert not VALIDATORS[kind.type].is_valid(json.loads(body))


# --- whatever is published --------------------------------------------------------------------------------

FEW: Final = 4
# How many decimals the amounts of a currency have -> those currencies.
CURRENCIES: Final = {
    exponent: sorted(name for name, of_it in money.EXPONENTS.items() if of_it == exponent)
    for exponent in set(money.EXPONENTS.values())
}


def fits(text: str) -> bool:
    """An id, into an AMQP property."""
    return len(text.encode()) <= 255


def values(of: inspect.Type, exponent: int) -> st.SearchStrategy[Any]:  # noqa: C901, PLR0911  # one a kind
    """What a field may be, by its type, where amounts are of one currency, of so many decimals."""
    match of:
        case inspect.StrType(min_length=least, max_length=most, pattern=pattern):
            texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=least or 0, max_size=most)
            return texts.filter(fits) if pattern else texts
        case inspect.IntType(ge=least, le=most):
            return st.integers(least, most)
        case inspect.DecimalType():
            any_of_them = CURRENCIES[exponent][0]
            return st.integers(0, money.LARGEST).map(lambda minor: money.to_decimal(minor, any_of_them))
        case inspect.BoolType():
            return st.booleans()
        case inspect.DateTimeType():
            return st.datetimes(timezones=st.just(UTC))
        case inspect.NoneType():
            return st.none()
        case inspect.LiteralType(values=possible):
            return st.sampled_from(possible)
        case inspect.UnionType(types=possible):
            return st.one_of(*(values(each, exponent) for each in possible))
        case inspect.VarTupleType(item_type=item, min_length=least):
            each = values(item, exponent)
            return st.lists(each, min_size=least or 0, max_size=FEW, unique_by=product_of).map(tuple)
        case inspect.StructType(cls=kind, fields=fields):
            named = {field.name: values(field.type, exponent) for field in fields}
            given = {"currency": st.sampled_from(CURRENCIES[exponent])} if "currency" in named else {}
            return st.builds(kind, **named | given)
        case _:
            raise NotImplementedError(f"say how to make one of {of}")


def product_of(line: Any) -> object:
    """A product is named once in a list."""
    return getattr(line, "product_id", line)


@cache
def published(kind: type[Event], exponent: int) -> st.SearchStrategy[Event]:
    """Made once: that takes longer than an example."""
    return values(inspect.type_info(kind), exponent)


@st.composite
def made(draw: st.DrawFn, kind: type[Event]) -> Event:
    """An event as a service may publish it."""
    exponent = draw(st.sampled_from(sorted(CURRENCIES)))
    try:
        found = draw(published(kind, exponent))
    except ValueError:
        reject()  # a product that is there and missing
    return found


# How fast it is depends on what else the machine does.
SLOWLY: Final = [HealthCheck.too_slow]


@named
@settings(max_examples=25, suppress_health_check=SLOWLY)
@given(data=st.data())
def test_whatever_is_published_is_as_its_schema_says_and_comes_back_as_it_was(
    event: type[Event], data: st.DataObject
) -> None:
    example = data.draw(made(event))
    body = wire.encode(example)
    VALIDATORS[event.type].validate(json.loads(body))
    for queue in (queue for queue, kind in QUEUES_OF if kind is event):
        assert wire.decode(queue, body) == example


@named
@settings(max_examples=10, suppress_health_check=SLOWLY)
@given(data=st.data())
def test_a_body_without_a_field_that_the_schema_wants_is_refused_by_consumers_too(
    event: type[Event], data: st.DataObject
) -> None:
    body = json.loads(wire.encode(data.draw(made(event))))
    del body["data"][data.draw(st.sampled_from(sorted(required(event))))]
    assert not VALIDATORS[event.type].is_valid(body)
    for queue in (queue for queue, kind in QUEUES_OF if kind is event):
        if (queue, event.type) in wire.OLDER_FORMS:
            continue  # it may be an older publisher's
        with pytest.raises(wire.InvalidMessage):
            wire.decode(queue, json.dumps(body).encode())


def required(event: type[Event]) -> set[str]:
    return set(CONTRACT.schemas[event.type]["properties"]["data"]["required"])
