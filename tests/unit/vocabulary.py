"""The words of JSON Schema (2020-12): strict validators, such as Ajv, refuse a schema with any other."""

from collections.abc import Iterator
from typing import Any, Final

from jsonschema import Draft202012Validator

# The other words describe, and decide on nothing.
WORDS: Final = frozenset(Draft202012Validator.VALIDATORS) | {
    *("$schema", "$defs", "title", "description", "default", "examples", "deprecated", "contentEncoding"),
}
# Those of the standard that we use.
FORMATS: Final = frozenset({"date-time", "uuid", "email", "uri"})
# Their values are schemas by name.
NAMED: Final = frozenset({"properties", "$defs", "patternProperties", "dependentSchemas"})
# Theirs are data.
DATA: Final = frozenset({"const", "default", "enum", "examples"})


def strange(schema: Any) -> Iterator[str]:
    """Words and formats of the schema that the standard does not have."""
    if isinstance(schema, list):
        for each in schema:
            yield from strange(each)
    if not isinstance(schema, dict):
        return
    yield from schema.keys() - WORDS
    if (form := schema.get("format", "date-time")) not in FORMATS:
        yield f"format {form}"
    for word, value in schema.items():
        if word not in DATA:
            yield from strange([*value.values()] if word in NAMED else value)
