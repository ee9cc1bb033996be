"""What is wrong with a request, field by field, in sentences that say what is allowed.

What is allowed is read from the OpenAPI description: so the answer and the description cannot differ.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

from fastapi import Request
from fastapi.exceptions import RequestValidationError

from services.shared.schemas import ANYTHING, Schema, fields, in_words, inside, plain

Location: TypeAlias = Sequence[str | int]
# Raised by our own validators: the text is ours, and says it all.
OURS: Final = "value_error"


class Fault(NamedTuple):
    """One thing that is wrong: `place` is body, query, path or header."""

    place: str
    path: tuple[str | int, ...]
    message: str

    @property
    def field(self) -> str:
        return ".".join(map(str, self.path)) or self.place

    def member(self) -> dict[str, str]:
        """An entry of a problem's `errors`. JSON pointers (RFC 6901) lead into bodies only."""
        pointer = {"pointer": "#" + "".join(f"/{_escaped(part)}" for part in self.path)}
        found = {"in": self.place, "field": self.field}
        return found | (pointer if self.place == "body" else {}) | {"message": self.message}


def summary(faults: Iterable[Fault]) -> str:
    return "; ".join(f"{fault.field}: {fault.message}" for fault in faults)


def invalid(place: str, path: Location, message: str) -> RequestValidationError:
    """For what a route finds out by itself: the same as if a model had."""
    return RequestValidationError([{"type": OURS, "loc": (place, *path), "msg": message}])


def faults(request: Request, errors: Iterable[Mapping[str, Any]]) -> list[Fault]:
    """What pydantic found, in our words."""
    described = Described.of(request)
    return [described.fault(error) for error in errors]


class Described(NamedTuple):
    """An operation as OpenAPI describes it, and the document that it refers to."""

    document: Schema
    operation: Schema

    @classmethod
    def of(cls, request: Request) -> "Described":
        document = request.app.openapi()
        path = getattr(request.scope.get("route"), "path_format", "")
        item = document["paths"].get(path, ANYTHING)
        return cls(document, item.get(request.method.lower(), ANYTHING))

    def fault(self, error: Mapping[str, Any]) -> Fault:
        place, *path = error["loc"]
        return Fault(place, tuple(path), self._message(error, place, path))

    def _message(self, error: Mapping[str, Any], place: str, path: Location) -> str:
        match error["type"]:
            case "value_error":
                return str(error["msg"]).removeprefix("Value error, ")
            case "extra_forbidden":
                return f"unknown field: the fields are {fields(self._at(place, path[:-1]))}"
            case "missing":
                return f"missing: give {in_words(self._at(place, path))}"
            case _:
                return f"give {in_words(self._at(place, path))}"

    def _at(self, place: str, path: Location) -> Schema:
        """The schema of what is wrong."""
        schema, *further = self._of_place(place, path)
        for part in further:
            schema = inside(plain(schema, self.document), part)
        return plain(schema, self.document)

    def _of_place(self, place: str, path: Location) -> tuple[Any, ...]:
        """The schema to begin with, and the way on from there."""
        if place == "body":
            content = self.operation.get("requestBody", ANYTHING).get("content", ANYTHING)
            return content.get("application/json", ANYTHING).get("schema", ANYTHING), *path
        for parameter in self.operation.get("parameters", ()):
            if [parameter["in"], parameter["name"]] == [place, *path]:
                return (parameter["schema"],)
        return (ANYTHING,)


def _escaped(part: str | int) -> str:
    return str(part).replace("~", "~0").replace("/", "~1")
