"""What a JSON schema allows, in words: as in "give a whole number from 1 to 9"."""

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

Schema: TypeAlias = Mapping[str, Any]
ANYTHING: Final[Schema] = {}
# In our schemas: the words, where a schema alone would not find good ones.
WORDS: Final = "x-allowed"


def in_words(schema: Schema) -> str:
    """Of a schema without references at its top."""
    if WORDS in schema:
        return str(schema[WORDS])
    if "const" in schema:
        return str(schema["const"])
    if "enum" in schema:
        return f"one of {', '.join(map(str, schema['enum']))}"
    describe = _OF_TYPE.get(schema.get("type", ""))
    return "another value" if describe is None else describe(schema)


def fields(schema: Schema) -> str:
    """The names of what an object has."""
    return ", ".join(schema.get("properties", ANYTHING))


def plain(schema: Schema, document: Schema) -> Schema:
    """The schema itself: what it refers to in `document`, without the null of what may be left out."""
    match schema:
        case {"$ref": str(reference)}:
            return plain(document["components"]["schemas"][reference.rpartition("/")[2]], document)
        case {"anyOf": [one, {"type": "null"}]}:
            beside = {name: value for name, value in schema.items() if name != "anyOf"}
            return {**plain(one, document), **beside}
        case _:
            return schema


def inside(schema: Schema, part: str | int) -> Schema:
    """That of an entry of a list, or of a field of an object."""
    found: Schema = (
        schema.get("items", ANYTHING)
        if isinstance(part, int)
        else schema.get("properties", ANYTHING).get(part, ANYTHING)
    )
    return found


def _needed(schema: Schema) -> str:
    """What an object has to have; all that it may have, where nothing is needed."""
    return ", ".join(schema.get("required", ())) or fields(schema)


def _range(schema: Schema) -> str:
    least, most = schema.get("minimum"), schema.get("maximum")
    if (above := schema.get("exclusiveMinimum")) is not None:
        return f" above {above:.15g}" + ("" if most is None else f", {most:.15g} at most")
    if least is None:
        return "" if most is None else f" up to {most:.15g}"
    return f" of {least:.15g} or more" if most is None else f" from {least:.15g} to {most:.15g}"


def _count(schema: Schema, of: str, what: str) -> str:
    least, most = schema.get(f"min{of}"), schema.get(f"max{of}")
    if most is None:
        return f" of {least} or more {what}" if least else ""
    return f" of {least} to {most} {what}" if least else f" of at most {most} {what}"


_OF_TYPE: Final[Mapping[str, Callable[[Schema], str]]] = {
    "integer": lambda schema: f"a whole number{_range(schema)}",
    "number": lambda schema: f"a number{_range(schema)}",
    "string": lambda schema: f"a text{_count(schema, 'Length', 'characters')}",
    "array": lambda schema: f"a list{_count(schema, 'Items', 'entries')}",
    "boolean": lambda _: "true or false",
    "object": lambda schema: f"a JSON object with {_needed(schema)}",
}
