"""What an id looks like: the same wherever one comes in over HTTP."""

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from services.order.bodies import NewOrder
from services.shared.contract.ids import is_id
from services.shared.http.bodies import Body, Id, View

ODD = ["", "a b", "a,b", "a/b", "a\n", "ä", "\u0661", "🍵", "p" * 65]


class Named(Body):
    some_id: Id


@pytest.mark.parametrize("text", [str(uuid.UUID(int=1)), "order_123", "A-z_09", "p" * 64])
def test_an_id_is_taken_as_it_is(text: str) -> None:
    assert is_id(text)
    assert Named.model_validate({"someId": text}).some_id == text


@pytest.mark.parametrize("text", ODD)
def test_what_is_no_id_is_refused_with_what_an_id_looks_like(text: str) -> None:
    assert not is_id(text)
    with pytest.raises(ValidationError, match="an id has 1 to 64 characters, which are letters of A to Z"):
        Named.model_validate({"someId": text})


@given(st.text())
def test_no_id_can_end_a_list_or_a_path(text: str) -> None:
    assert not is_id(text) or not set(text) & set(",/?#%\\;: \n")


def test_the_description_says_what_an_id_looks_like() -> None:
    assert Named.model_json_schema()["properties"]["someId"]["pattern"] == "^[A-Za-z0-9_-]{1,64}$"


@pytest.mark.parametrize("text", ODD)
def test_an_order_names_products_by_ids(text: str) -> None:
    with pytest.raises(ValidationError, match="an id has 1 to 64 characters"):
        NewOrder.model_validate({"ids": ["lamp", text], "quantities": [1, 1]})


def test_what_comes_in_has_one_spelling_and_no_more_fields_than_are_known() -> None:
    for wrong in ({"some_id": "a"}, {"someId": "a", "more": 1}):
        with pytest.raises(ValidationError):
            Named.model_validate(wrong)


def test_what_goes_out_is_made_from_keywords_or_from_an_object() -> None:
    class Shown(View):
        some_id: str

    made = Shown(some_id="a")
    assert Shown.model_validate(made) == made
    assert made.model_dump(by_alias=True) == {"someId": "a"}
