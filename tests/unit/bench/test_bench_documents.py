"""Documents say what was measured."""

import json

import pytest

from bench.capacity import MEASURED
from bench.documents import between, documents


def test_the_documents_say_what_was_measured() -> None:
    """Where this fails: `make docs`."""
    for file, become in documents(json.loads(MEASURED.read_text())).items():
        text = file.read_text()
        assert become(text) == text, file


def test_what_is_between_the_marks_is_replaced_and_nothing_else() -> None:
    text = "before\n<!-- it:begin -->\nold\n<!-- it:end -->\nafter\n"
    assert between(text, "it", ["new", "lines"]) == text.replace("old", "new\nlines")
    with pytest.raises(ValueError, match="other:begin"):
        between(text, "other", ["new"])
