"""What commands write into documents stands where it belongs."""

import pytest

from dev.markdown import between, table


def test_what_is_between_the_marks_is_replaced_and_nothing_else() -> None:
    text = "before\n<!-- it:begin -->\nold\n<!-- it:end -->\nafter\n"
    assert between(text, "it", ["new", "lines"]) == text.replace("old", "new\nlines")
    with pytest.raises(ValueError, match="other:begin"):
        between(text, "other", ["new"])


def test_a_table_has_a_head_and_empty_cells() -> None:
    assert table(["", "b"], ["1", ""]) == ["| | b |", "| --- | --- |", "| 1 | |"]
