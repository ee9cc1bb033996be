"""`sagactl repair` on the command line: what it asks for, and what its exit code says."""

import msgspec
import pytest
from typer.testing import CliRunner

from sagactl.access import URLS
from sagactl.cli import app
from sagactl.oncall.repair.command import Repair, exit_code
from sagactl.oncall.repair.plan import Compensate, Ends, Plan, Redrive, SendAgain
from tests.forms import document


@pytest.fixture(autouse=True)
def servers_that_nobody_reaches(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in URLS:
        monkeypatch.setenv(name, "http://127.0.0.1:9")


def test_nothing_is_applied_without_a_reason() -> None:
    result = CliRunner().invoke(
        app, ["repair", "order-1", "--apply", "--reason", " "], env={"COLUMNS": "200"}
    )
    assert result.exit_code == 2
    assert "--reason" in result.output


@pytest.mark.parametrize(
    ("ends", "others", "code"),
    [
        ([], (), 0),
        ([Ends.SOUND], (), 0),
        ([Ends.SOUND, Ends.MENDED], (), 3),
        ([Ends.MOVING], (), 3),
        ([Ends.MENDED, Ends.BY_HAND], (), 1),
        ([Ends.SOUND], ("lamp: 3 pieces are there, but 4 came",), 1),
    ],
)
def test_the_exit_code_says_whether_anything_is_left(
    ends: list[Ends], others: tuple[str, ...], code: int
) -> None:
    assert exit_code([Plan(order="order-1", ends=each, says="") for each in ends], others) == code


def test_its_json_is_as_the_schema_says() -> None:
    steps = (
        SendAgain("orders", "1", "INVENTORY_RESERVED", "{}"),
        Redrive("orders", "1", "INVENTORY_RESERVED"),
        Compensate("PENDING", 3),
    )
    found = Plan(order="order-1", ends=Ends.MENDED, findings=("I4: odd",), steps=steps, says="")
    assert document(msgspec.json.encode(Repair(plans=(found,))).decode())["applied"] is False
    assert [step.says for step in steps] == [
        "send again INVENTORY_RESERVED orders/1",
        "redrive INVENTORY_RESERVED orders/1",
        "compensate: it is PENDING, and ends CANCELLED",
    ]
