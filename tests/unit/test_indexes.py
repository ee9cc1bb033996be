"""docs/indexes.md says of every index which query needs it."""

import re
from typing import Final

from services.shared.contract.events import ENGINES
from tests.unit.indexes import Index, declared
from tests.unit.test_house import ROOT

ROW: Final = re.compile(
    r"\| (?P<services>[a-z, ]+) \| `(?P<collection>\w+)` \| `(?P<keys>{[^`]+})`[ *]* \| (?P<why>.+) \|"
)


def documented() -> list[Index]:
    rows = ROW.finditer((ROOT / "docs" / "indexes.md").read_text())
    return [
        Index(service, row["collection"], row["keys"])
        for row in rows
        for service in (ENGINES if row["services"] == "those with events" else row["services"].split(", "))
    ]


def test_every_index_is_documented_with_the_query_that_needs_it_and_no_other() -> None:
    assert set(documented()) == declared()


def test_no_index_is_documented_twice() -> None:
    assert len(documented()) == len(set(documented()))
