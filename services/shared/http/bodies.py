"""What JSON bodies have in common, in every service, and the ids in bodies, paths and queries."""

from collections.abc import Iterator
from typing import Annotated, Any, Final, TypeAlias

from pydantic import AfterValidator, BaseModel, ConfigDict, WithJsonSchema
from pydantic.alias_generators import to_camel

from services.shared.contract import ids
from services.shared.http.validation import invalid


def _title(name: str, _: object) -> str:
    """`Order id`, which generators would make of no alias."""
    return name.strip("_").replace("_", " ").capitalize()


class Body(BaseModel):
    """What comes in. A field that is not known is an error: it may be a misspelled one that is."""

    model_config = ConfigDict(extra="forbid", alias_generator=to_camel, field_title_generator=_title)


class View(BaseModel):
    """What goes out; made from keywords, or from an object with such attributes."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        from_attributes=True,
        field_title_generator=_title,
    )


def examples_of_models() -> Iterator[tuple[str, Any]]:
    """Of every model that has some, with its name."""
    models: list[type[BaseModel]] = [Body, View]
    while models:
        model = models.pop()
        models += model.__subclasses__()
        match model.model_config.get("json_schema_extra"):
            case {"examples": examples}:
                yield model.__name__, examples


# Of a list of ids as one parameter: as many as a page may have, and the commas.
MOST_IDS: Final = 100
LONGEST_LIST: Final = MOST_IDS * (ids.LONGEST + 1)
IDS_IN_WORDS: Final[dict[str, Any]] = {"x-allowed": f"ids, separated by commas, {MOST_IDS} at most: ids=a,b"}


def listed(text: str) -> list[str]:
    """The ids of a parameter `ids`, separated by commas, each once. Raises RequestValidationError."""
    found = [id_ for id_ in text.split(",") if id_]
    if len(found) > MOST_IDS:
        raise invalid("query", ["ids"], f"at most {MOST_IDS} ids, not {len(found)}")
    try:
        return [ids.checked(id_) for id_ in dict.fromkeys(found)]
    except ValueError as error:
        raise invalid("query", ["ids"], str(error)) from error


SCHEMA: Final = {
    "type": "string",
    "pattern": ids.PATTERN,
    "x-allowed": "an id of 1 to 64 letters of A to Z, digits, _ and -",
}
# Of a product or an order, in a body, a path or a query.
Id: TypeAlias = Annotated[str, AfterValidator(ids.checked), WithJsonSchema(SCHEMA)]
