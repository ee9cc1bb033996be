"""docs/asvs.md: every item of the standard has its verdict, and every test that it names is there."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = (ROOT / "docs" / "asvs.md").read_text()
ROW: Final = re.compile(r"^\| ([0-9][^|]*) \| (holds|partly|\*\*no\*\*|not here) \| (.+) \|$", re.MULTILINE)
# Of ASVS 5.0.0, levels 1 and 2: section, numbers.
ITEMS: Final = """
1.1: 1-2; 1.2: 1-9; 1.3: 1-11; 1.4: 1-3; 1.5: 1-2; 2.1: 1-3; 2.2: 1-3; 2.3: 1-4; 2.4: 1; 3.2: 1-2; 3.3:
1-4; 3.4: 1-6; 3.5: 1-5; 3.7: 1-2; 4.1: 1-3; 4.2: 1; 4.3: 1-2; 4.4: 1-4; 5.1: 1; 5.2: 1-3; 5.3: 1-2;
5.4: 1-3; 6.1: 1-3; 6.2: 1-12; 6.3: 1-4; 6.4: 1-4; 6.5: 1-5; 6.6: 1-3; 6.8: 1-4; 7.1: 1-3; 7.2: 1-4;
7.3: 1-2; 7.4: 1-5; 7.5: 1-2; 7.6: 1-2; 8.1: 1-2; 8.2: 1-3; 8.3: 1; 8.4: 1; 9.1: 1-3; 9.2: 1-4; 10.1:
1-2; 10.2: 1-2; 10.3: 1-4; 10.4: 1-11; 10.5: 1-5; 10.6: 1-2; 10.7: 1-3; 11.1: 1-2; 11.2: 1-3; 11.3: 1-3;
11.4: 1-4; 11.5: 1; 11.6: 1; 12.1: 1-3; 12.2: 1-2; 12.3: 1-4; 13.1: 1; 13.2: 1-5; 13.3: 1-2; 13.4: 1-5;
14.1: 1-2; 14.2: 1-4; 14.3: 1-3; 15.1: 1-3; 15.2: 1-3; 15.3: 1-7; 16.1: 1; 16.2: 1-5; 16.3: 1-4; 16.4:
1-3; 16.5: 1-3; 17.1: 1; 17.2: 1-4; 17.3: 1-2
"""


def expanded(section: str, numbers: str) -> Iterator[str]:
    for part in numbers.split(","):
        first, _, last = part.strip().partition("-")
        yield from (f"{section}.{number}" for number in range(int(first), int(last or first) + 1))


def standard() -> set[str]:
    sections = [each.split(":") for each in ITEMS.split(";")]
    return {item for section, numbers in sections for item in expanded(section.strip(), numbers)}


def named(items: str) -> Iterator[str]:
    """`1.2.6-1.2.8, 1.3.1`: each of them."""
    for part in items.split(", "):
        first, _, last = part.partition("-")
        section, _, number = first.rpartition(".")
        yield from expanded(section, f"{number}-{(last or first).rpartition('.')[2]}")


def test_every_item_of_the_standard_has_one_verdict() -> None:
    found = Counter(item for items, _, _ in ROW.findall(PAGE) for item in named(items))
    assert len(standard()) == 253
    assert {item: count for item, count in found.items() if count > 1} == {}
    assert set(found) == standard()


def test_the_page_counts_its_verdicts_right() -> None:
    verdicts = Counter(verdict for items, verdict, _ in ROW.findall(PAGE) for _ in named(items))
    said = re.search(
        r"Of 253 items (\d+) hold, (\d+) partly, (\d+) do not, and (\d+) are about what is not here", PAGE
    )
    assert said is not None
    assert [int(each) for each in said.groups()] == [
        verdicts[verdict] for verdict in ("holds", "partly", "**no**", "not here")
    ]


def test_every_test_that_is_named_is_there() -> None:
    there = {
        name
        for file in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^(?:async )?def (test_\w+)", file.read_text(), re.MULTILINE)
    }
    assert set(re.findall(r"`(test_\w+)`", PAGE)) - there == set()


@pytest.mark.parametrize("risk", range(1, 11))
def test_each_of_the_ten_risks_has_a_test_of_its_own(risk: int) -> None:
    file = (ROOT / "tests/integration/saga/test_owasp_api_top_ten.py").read_text()
    assert len(re.findall(rf"^async def test_api{risk}_\w+", file, re.MULTILINE)) == 1
