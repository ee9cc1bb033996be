"""What a browser says of languages, and what is made of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.shared.languages import preferred


@pytest.mark.parametrize(
    ("said", "best"),
    [
        (None, None),
        ("", None),
        ("*", None),
        ("de", "de"),
        ("de-AT", "de-AT"),
        ("DE-at", "de-AT"),
        ("de-AT,de;q=0.9,en;q=0.8", "de-AT"),
        ("en;q=0.5, de;q=0.7", "de"),
        ("de;q=0, en", "en"),
        ("de;q=0", None),
        ("zh-Hant-TW", "zh-TW"),
        ("de-1996", "de"),
        ("de;q=1.2.3", None),
        ("de\r\nBcc: x", None),
        ("tlh, de;q=0.4", "tlh"),
    ],
)
def test_the_first_choice_counts(said: str | None, best: str | None) -> None:
    assert preferred(said) == best


@given(st.text())
def test_whatever_is_sent_it_is_a_language_or_none(said: str) -> None:
    best = preferred(said)
    assert best is None or (best.isascii() and len(best) <= len("abc-DE"))
