"""What is refused before it is a request is told in the same way as what is refused after."""

import json
from http.client import HTTPResponse
from io import BytesIO

import pytest

from services.shared.contract.codes import Code
from services.shared.http import refusals
from services.shared.http.kinds import KINDS, type_of
from services.shared.http.refusals import Refused


class Wire(BytesIO):
    """As much of a socket as the standard library's reader of answers asks for."""

    def makefile(self, *_: object) -> BytesIO:
        return self


@pytest.mark.parametrize(
    ("refused", "code"),
    [
        (refusals.no_room(), Code.OVERLOADED),
        (refusals.too_slow(), Code.REQUEST_TOO_SLOW),
        (refusals.malformed(), Code.MALFORMED_REQUEST),
        (refusals.too_many_ahead(), Code.RATE_LIMITED),
        (refusals.too_many_bytes(7), Code.BODY_TOO_LARGE),
        (refusals.too_many_header_bytes(7), Code.HEADERS_TOO_LARGE),
    ],
)
def test_a_refusal_is_a_problem_document_and_the_end_of_its_connection(refused: Refused, code: Code) -> None:
    answer = HTTPResponse(Wire(refusals.written(refused)))  # type: ignore[arg-type]  # it reads no more
    answer.begin()
    status, title, _ = KINDS[code]
    assert (answer.status, answer.reason) == (status, status.phrase)
    assert json.loads(answer.read()) == {
        "type": type_of(code),
        "title": title,
        "status": status,
        "code": code,
        "detail": str(refused),
    }
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["connection"] == "close"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert (answer.headers["retry-after"] is not None) == (status in {429, 503})
