"""How errors are described (OpenAPI): one schema for all, and an example of each code."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from services.shared.contract.codes import Code
from services.shared.http.kinds import KINDS, type_of

MEDIA_TYPE: Final = "application/problem+json"
NAME: Final = "Problem"
_REFERENCE: Final = {"$ref": f"#/components/schemas/{NAME}"}
_FAULT: Final = {
    "type": "object",
    "required": ["in", "field", "message"],
    "properties": {
        "in": {"type": "string", "enum": ["body", "query", "path", "header"]},
        "field": {"type": "string", "description": "The name, with dots: `quantities.0`"},
        "pointer": {"type": "string", "description": "For a field of the body: its JSON pointer (RFC 6901)"},
        "message": {"type": "string", "description": "What is allowed"},
    },
}
PROBLEM: Final[dict[str, Any]] = {
    "title": NAME,
    "description": "A problem document (RFC 9457); docs/errors.md lists all codes",
    "type": "object",
    "required": ["type", "title", "status", "code", "detail"],
    "properties": {
        "type": {"type": "string", "description": "A link to the explanation of the code"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string", "enum": list(Code), "description": "Stable: compare this, not sentences"},
        "detail": {"type": "string", "description": "What went wrong, and what to do"},
        "errors": {"type": "array", "items": _FAULT},
        "unknown": {"type": "array", "items": {"type": "string"}, "description": "Ids of unknown products"},
        "available": {"type": "integer", "description": "Pieces that can be ordered now"},
        "reserved": {"type": "integer", "description": "Pieces that orders hold"},
        "revision": {"type": "integer", "description": "The current revision: its ETag"},
        "outcome": {
            "type": "string",
            "enum": ["unknown"],
            "description": "The request may have been carried out",
        },
    },
}
DEFAULT: Final[dict[str, Any]] = {
    "description": "A problem",
    "content": {MEDIA_TYPE: {"schema": _REFERENCE}},
}


def described(codes: Iterable[Code]) -> dict[int | str, dict[str, Any]]:
    """The responses of a route, for the problems that it may answer with."""
    of_status: dict[int, list[Code]] = {}
    for code in codes:
        of_status.setdefault(KINDS[code].status, []).append(code)
    return {status: _response(same) for status, same in sorted(of_status.items())}


def codes_of(responses: Mapping[int | str, dict[str, Any]]) -> list[Code]:
    """The codes that these responses were `described` for."""
    return [
        Code(name)
        for response in responses.values()
        for name in response.get("content", {}).get(MEDIA_TYPE, {}).get("examples", {})
    ]


def _response(codes: Iterable[Code]) -> dict[str, Any]:
    examples = {code.value: {"summary": KINDS[code].title, "value": _example(code)} for code in codes}
    return {
        "description": "; ".join(KINDS[code].title for code in codes),
        "content": {MEDIA_TYPE: {"schema": _REFERENCE, "examples": examples}},
    }


def _example(code: Code) -> dict[str, Any]:
    status, title, meaning = KINDS[code]
    body = {"type": type_of(code), "title": title, "status": status.value, "code": code, "detail": meaning}
    if code is not Code.INVALID:
        return body
    message = "give a whole number from 1 to 100"
    fault = {"in": "query", "field": "limit", "message": message}
    return body | {"detail": f"limit: {message}", "errors": [fault]}
