"""Orders of which, in a busy shop, nobody can say whether they are wrong: they are named all the same."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, Self

import pytest
from typer.testing import CliRunner

from sagactl.access import Access
from sagactl.cli import app
from sagactl.exits import Exit
from sagactl.oncall.explain.marks import Marks
from sagactl.oncall.invariants import TITLES, Case
from sagactl.oncall.live import checking
from sagactl.oncall.live.judging import STILL, Terms
from sagactl.oncall.live.looking import WATCH
from sagactl.oncall.repair import applying
from sagactl.oncall.repair import command as repairing
from sagactl.oncall.repair.plan import Ends, Plan
from sagactl.oncall.report import Report
from sagactl.oncall.report_on_screen import screen
from services.shared.contract.events import INVENTORY_EVENTS
from tests.unit.explain.desk import NOW, ORDER, Desk

NOWHERE: Final = Access(amqp_url="", management_url="", mongodb_url="")
WHILE: Final = STILL + timedelta(seconds=1)


class BooksOf:
    def __init__(self, *cases: Case) -> None:
        self._cases = list(cases)

    async def cases_of(self, _: Sequence[str]) -> list[Case]:
        return self._cases

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass


def paid_and_never_sold(**seen: Any) -> Marks:
    desk = Desk()
    for queue in ("inventory", "orders", "STOCK_RESERVED", "order-events", "notifications"):
        desk.hear(queue)
    return desk.marks(after=WHILE, **seen)


@pytest.mark.parametrize(
    ("marks", "is_named"),
    [
        (paid_and_never_sold(), True),
        (paid_and_never_sold(waiting={INVENTORY_EVENTS: 3}), False),
        (paid_and_never_sold(moving=True), False),
    ],
    ids=["lost", "perhaps in a queue", "moving"],
)
async def test_what_seems_wrong_is_named_or_in_doubt(
    monkeypatch: pytest.MonkeyPatch, marks: Marks, *, is_named: bool
) -> None:
    async def look_again(*_: object) -> Sequence[Marks]:
        return [marks]

    monkeypatch.setattr(checking, "look_again", look_again)
    books: Any = BooksOf(marks.case)
    told = await checking.judged(books, NOWHERE, Terms.at(NOW + WHILE), [ORDER], WATCH, lambda _: None)
    assert ({each.subject for each in told.certain}, told.in_doubt) == (
        ({ORDER}, []) if is_named else (set(), [ORDER])
    )


async def test_what_is_in_doubt_is_planned_for_like_what_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a look at a busy shop did not see the one before it may have seen: it is not left out."""
    case = paid_and_never_sold().case

    async def check_live(_: Access) -> Report:
        return Report(dict.fromkeys(TITLES, ""), [], [], in_doubt=[ORDER])

    monkeypatch.setattr(applying, "check_live", check_live)
    monkeypatch.setattr(applying, "reading", lambda _: BooksOf(case))
    assert await applying.found_wrong(NOWHERE) == ([ORDER], [])


def repaired(monkeypatch: pytest.MonkeyPatch, directory: Path, *found: Plan) -> Any:
    async def found_wrong(_: Access) -> tuple[Sequence[str], Sequence[str]]:
        return [each.order for each in found], ()

    async def plans(*_: object) -> Sequence[Plan]:
        return found

    monkeypatch.setattr(repairing, "found_wrong", found_wrong)
    monkeypatch.setattr(repairing, "plans", plans)
    monkeypatch.setattr(repairing, "access", lambda _: NOWHERE)
    return CliRunner().invoke(app, ["repair"], env={"COLUMNS": "300", "STACK_DIR": str(directory)})


def test_nothing_is_to_be_done_is_said_with_what_was_looked_at(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    result = repaired(monkeypatch, tmp_path)
    assert result.exit_code == Exit.FINE
    assert (
        "There is nothing to do: no order is inconsistent that has been unchanged for 30 s" in result.stdout
    )
    doubted = Plan(order=ORDER, ends=Ends.MOVING, says="may be one of 3 in inventory-events")
    result = repaired(monkeypatch, tmp_path, doubted)
    assert result.exit_code == Exit.NOT_YET
    assert "but       may be one of 3 in inventory-events" in result.stdout


def test_a_check_names_what_is_in_doubt_and_its_verdict_is_about_the_rest() -> None:
    report = Report(dict.fromkeys(TITLES, ""), [], [], in_doubt=[ORDER])
    assert (report.sound, list(report.document.in_doubt)) == (True, [ORDER])
    text = "\n".join(each for each in screen(report) if isinstance(each, str))
    assert f"in doubt: 1 order ({ORDER})" in text
