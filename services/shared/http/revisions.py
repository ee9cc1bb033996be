"""Revisions as HTTP has them (RFC 9110, 13.1.1): an `ETag` goes out, and comes back as `If-Match`."""

import re
from typing import Annotated, Any, Final

from fastapi import Depends, Request

from services.shared.contract.codes import Code
from services.shared.http.problems import Problem
from services.shared.http.validation import invalid

ANY: Final = "*"
# Longer than any revision, and than what Python would be slow to read.
_TAG: Final = re.compile(r'\s*(?:W/)?"[^"\x00-\x1f]{0,40}"\s*')
_REVISION: Final = re.compile(r'\s*"(\d{1,18})"\s*')
MOST_TAGS: Final = 20
MATCHED: Final[dict[str, Any]] = {
    "name": "If-Match",
    "in": "header",
    "required": True,
    "description": "The `ETag` that was read. If it has changed, the answer is 412. `*` stands for any.",
    "schema": {"type": "string", "minLength": 1},
}


def etag(revision: int) -> dict[str, str]:
    """The header of an answer about this revision."""
    return {"ETag": f'"{revision}"'}


def revisions_of(text: str) -> tuple[int, ...] | None:
    """The revisions that a field value `If-Match` allows; None for any. Raises ValueError for what is none.

    Tags that we did not give, and weak ones, match nothing.
    """
    if text.strip() == ANY:
        return None
    tags = text.split(",")
    if len(tags) > MOST_TAGS or not all(_TAG.fullmatch(tag) for tag in tags):
        raise ValueError('send the ETag that was read, with its quotation marks: "17"; or *')
    return tuple(int(found[1]) for tag in tags if (found := _REVISION.fullmatch(tag)))


async def _if_match(request: Request) -> tuple[int, ...] | None:
    text = request.headers.get("if-match")
    if text is None:
        raise Problem(
            Code.PRECONDITION_REQUIRED, "send the ETag of what you read as If-Match, or If-Match: * for any"
        )
    try:
        return revisions_of(text)
    except ValueError as error:
        raise invalid("header", ["If-Match"], str(error)) from error


# On routes whose description has the parameter MATCHED.
IfMatch = Annotated[tuple[int, ...] | None, Depends(_if_match)]
