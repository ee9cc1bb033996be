"""One description of the public API, merged from those of the services: pure."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, TypeAlias

from pydantic.alias_generators import to_camel

from services.gateway.domain import rule_of
from services.gateway.introduction import INTRODUCTION, TAGS
from services.shared.contract.codes import Code
from services.shared.http.described import codes_of, described

Document: TypeAlias = dict[str, Any]
_SCHEMAS: Final = "#/components/schemas/"
_PARAMETER: Final = re.compile(r"(?<=\{)\w+(?=\})")
# What the gateway itself may answer, on any path.
_OURS: Final = (Code.RATE_LIMITED, Code.SERVICE_BROKE_OFF, Code.SERVICE_TOO_SLOW)
_TOKEN: Final = {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}


def merge(documents: Mapping[str, Document], version: str, missing: Iterable[str] = ()) -> Document:
    """Describe what of `documents` (by service) the gateway serves, and which services do not answer.

    Schemas of one name that differ are told apart by their service: `OrderLine`, `PaymentLine`. Those of
    internal routes alone are left out.
    """
    clashing = _clashing({service: _schemas(document) for service, document in documents.items()})
    paths: Document = {}
    schemas: Document = {}
    for service, document in documents.items():
        names = {name: service.capitalize() + name for name in clashing}
        own = _renamed(document, {_SCHEMAS + old: _SCHEMAS + new for old, new in names.items()})
        schemas |= {
            # Generators of clients name types by titles.
            names.get(name, name): schema | {"title": names[name]} if name in names else schema
            for name, schema in _schemas(own).items()
        }
        paths |= {
            _PARAMETER.sub(_camel, path): _operations(path, item)
            for path, item in own.get("paths", {}).items()
            if _leads_to(service, path)
        }
    return {
        "openapi": "3.1.0",
        "info": {"title": "sagashop", "version": version, "description": _description(missing)},
        "tags": [{"name": name, "description": text} for name, text in TAGS.items()],
        "paths": paths,
        "components": {"schemas": _reached(paths, schemas), "securitySchemes": {"token": _TOKEN}},
    }


def _description(missing: Iterable[str]) -> str:
    names = ", ".join(sorted(missing))
    note = f"\n**Missing** at the moment, because these services do not answer: {names}.\n"
    return INTRODUCTION + (note if names else "")


def _camel(parameter: re.Match[str]) -> str:
    """Names are written in one way, in bodies as in paths."""
    return to_camel(parameter[0])


def _reached(paths: Document, schemas: Document) -> Document:
    """The schemas that the paths refer to, and those that these refer to."""
    reached: set[str] = set()
    found = set(_references(paths))
    while found:
        reached |= found
        found = {name for each in found for name in _references(schemas.get(each))} - reached
    return {name: schema for name, schema in schemas.items() if name in reached}


def _schemas(document: Document) -> Document:
    schemas: Document = document.get("components", {}).get("schemas", {})
    return schemas


def _leads_to(service: str, path: str) -> bool:
    rule = rule_of(path)
    return rule is not None and rule.service == service


def _operations(path: str, item: Document) -> Document:
    rule = rule_of(path)
    return {
        method: _operation(operation, locked=rule is not None and rule.needs_token(method.upper()))
        for method, operation in item.items()
    }


def _operation(operation: Document, *, locked: bool) -> Document:
    """The token is a matter of `security`: as a header among the parameters, pages would not send it."""
    parameters = [
        {**each, "name": to_camel(each["name"])} if each["in"] == "path" else each
        for each in operation.get("parameters", ())
        if each["name"].lower() != "authorization"
    ]
    responses = operation.get("responses", {})
    problems = described(dict.fromkeys([*codes_of(responses), *_OURS]))
    responses = responses | {str(status): response for status, response in problems.items()}
    changed = {**operation, "parameters": parameters, "responses": responses}
    # Where a token is not needed, a service that names it shows more with one.
    optional: list[Document] = [{}, {"token": []}] if "security" in operation else []
    return {**changed, "security": [{"token": []}] if locked else optional}


def _clashing(schemas: Mapping[str, Document]) -> set[str]:
    """The names that mean different things, be it by what they refer to."""
    counts = Counter(name for own in schemas.values() for name in own)
    shared = {name for name, count in counts.items() if count > 1}
    definitions: dict[str, set[str]] = {name: set() for name in shared}
    for own in schemas.values():
        for name in shared & own.keys():
            definitions[name].add(json.dumps(own[name], sort_keys=True))
    clashing = {name for name, different in definitions.items() if len(different) > 1}
    while more := {
        name
        for name in shared - clashing
        for own in schemas.values()
        if name in own and clashing & set(_references(own[name]))
    }:
        clashing |= more
    return clashing


def _references(schema: Any) -> Iterator[str]:  # noqa: ANN401  # JSON
    if isinstance(schema, dict):
        target = schema.get("$ref", "")
        if isinstance(target, str) and target.startswith(_SCHEMAS):
            yield target.removeprefix(_SCHEMAS)
    for part in schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ():
        yield from _references(part)


def _renamed(document: Any, references: Mapping[str, str]) -> Any:  # noqa: ANN401  # JSON
    if isinstance(document, dict):
        return {key: _renamed(value, references) for key, value in document.items()}
    if isinstance(document, list):
        return [_renamed(each, references) for each in document]
    return references.get(document, document) if isinstance(document, str) else document
