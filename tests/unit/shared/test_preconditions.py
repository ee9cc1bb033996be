"""What a request's body comes as: JSON for the API, a form for pages; and never the other."""

import pytest

from services.shared.http.preconditions import FORM, JSON, check
from services.shared.http.problems import Problem


def scope(kind: str) -> tuple[dict[str, object], dict[bytes, bytes]]:
    headers = {b"content-type": kind.encode(), b"content-length": b"2"}
    return {"headers": [*headers.items()], "raw_path": b"/login"}, headers


@pytest.mark.parametrize(
    "kind", ["application/json", "application/json; charset=utf-8", "application/x+json"]
)
def test_the_api_takes_json_alone(kind: str) -> None:
    check(*scope(kind))
    with pytest.raises(Problem, match="send a form, with Content-Type: application/x-www-form-urlencoded"):
        check(*scope(kind), FORM)


@pytest.mark.parametrize("kind", [FORM.decode(), f"{FORM.decode()}; charset=utf-8"])
def test_pages_take_forms_alone(kind: str) -> None:
    check(*scope(kind), FORM)
    with pytest.raises(
        Problem, match="send JSON, with Content-Type: application/json, not application/x-www"
    ):
        check(*scope(kind), JSON)


def test_a_form_without_a_type_is_refused() -> None:
    with pytest.raises(Problem, match="which is missing"):
        check(*scope(""), FORM)
