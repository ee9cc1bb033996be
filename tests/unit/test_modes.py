"""Every failure mode is shown by a test, and what the document names is there."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from dev.chaos.faults import FAULTS
from dev.survive.scenario import SCENARIOS
from tests.modes import DOCUMENT, MODES, Shown, document

ROOT = Path(__file__).parents[2]
LINK = re.compile(r"\[(.+?)\]\(\.\./(.+?)\)")


def marked() -> Iterator[tuple[str, list[int]]]:
    """Each test that has the marker, by its path and name, and its numbers."""
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                for mark in node.decorator_list:
                    if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.mode":
                        yield (
                            f"{path.relative_to(ROOT)}::{node.name}",
                            [ast.literal_eval(a) for a in mark.args],
                        )


MARKED = dict(marked())


def test_every_mode_is_shown_by_a_test_and_there_is_no_other() -> None:
    assert {number for numbers in MARKED.values() for number in numbers} == set(MODES)


def test_the_scenarios_and_faults_that_are_named_are_there() -> None:
    assert {name for mode in MODES.values() for name in mode.survive} <= set(SCENARIOS)
    assert {name for mode in MODES.values() for name in mode.chaos} <= set(FAULTS)


def test_the_document_names_every_mode_and_the_tests_that_are_marked() -> None:
    """Where this fails: `make modes`."""
    rows = re.findall(r"^\| (\d+) \| (.+?) \| (.+?) \| (.+?) \|", DOCUMENT.read_text(), re.MULTILINE)
    assert {(int(number), happens, holds) for number, happens, holds, _ in rows} == {
        (number, mode.happens, mode.holds) for number, mode in MODES.items()
    }
    for number, _, _, tests in rows:
        named = {
            f"{path}::test_{words.replace(' ', '_')}"
            for words, path in re.findall(r"\[(.+?)\]\(\.\./(.+?)\)", tests)
        }
        assert named == {test for test, numbers in MARKED.items() if int(number) in numbers}


def test_the_document_tells_what_failed() -> None:
    one, two = "tests/unit/test_a.py::test_it_holds", "tests/unit/test_b.py::test_that_too"
    text = document({one: [1], two: [1, 2]}, {one: Shown(3, 2, 60), two: Shown(1, 1, 60)}, "a day")
    assert "on a day: 3 of 4 tests passed, in 2 minutes" in text
    links = "[it holds](../tests/unit/test_a.py) (3), **1 failed**<br>[that too](../tests/unit/test_b.py)"
    assert f"| {links} |" in text
