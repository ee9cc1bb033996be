"""Addresses of mail in texts: none is left, and nothing takes long."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.shared import emails


@given(before=st.text(), email=st.emails(), after=st.text())
def test_no_text_shows_an_address_after_it_was_hidden(before: str, email: str, after: str) -> None:
    try:
        parsed = emails.parse(email)
    except ValueError:  # quoted ones, which cannot register here
        return
    assert parsed not in emails.hidden(f"{before} {parsed} {after}")


def test_an_apostrophe_is_part_of_an_address_or_opens_a_quotation() -> None:
    assert emails.hidden("to '@shop.example") == "to ***"
    assert emails.hidden("to 'ada@shop.example'") == "to '***'"
    assert "brien" not in emails.hidden("to o'brien@shop.example")


@given(text=st.text(alphabet=st.characters(exclude_characters="@%")))
def test_a_text_without_one_stays_as_it_is(text: str) -> None:
    assert emails.hidden(text) == text


def test_the_longest_lines_are_searched_in_no_time() -> None:
    for text in ("a" * 64_000 + " @", "@" * 64_000, "a@" * 32_000, "%40" * 20_000):
        begun = time.thread_time()
        emails.hidden(text)
        assert time.thread_time() - begun < 0.5


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("m.gro\xdf@stra\xdfe.example", "m.gro\xdf@stra\xdfe.example"),
        (" Ada.Lovelace@Shop.example\n", "Ada.Lovelace@Shop.example"),
        ("\uff41da\uff20shop.example", "ada@shop.example"),
    ],
)
def test_an_address_is_kept_as_it_was_typed(typed: str, kept: str) -> None:
    assert emails.parse(typed) == kept


@given(typed=st.emails())
def test_what_was_typed_is_compared_by_the_same_spelling_as_what_is_kept(typed: str) -> None:
    try:
        kept = emails.parse(typed)
    except ValueError:
        return
    assert emails.normalize(kept) == emails.normalize(typed)
