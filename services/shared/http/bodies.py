"""What JSON bodies have in common, in every service, and the ids in bodies, paths and queries."""

from typing import Annotated, TypeAlias

from pydantic import AfterValidator, BaseModel, ConfigDict, WithJsonSchema
from pydantic.alias_generators import to_camel

from services.shared.contract import ids


class Body(BaseModel):
    """What comes in. A field that is not known is an error: it may be a misspelled one that is."""

    model_config = ConfigDict(extra="forbid", alias_generator=to_camel)


class View(BaseModel):
    """What goes out; made from keywords, or from an object with such attributes."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, from_attributes=True)


# Of a product or an order, in a body, a path or a query.
Id: TypeAlias = Annotated[
    str, AfterValidator(ids.checked), WithJsonSchema({"type": "string", "pattern": ids.PATTERN})
]
