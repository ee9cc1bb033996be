"""What an act on an order, or on stock, would do: told by the rules of the service that is asked."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import pytest
import typer
from msgspec import structs
from typer.testing import CliRunner

from sagactl.cli import app
from sagactl.exits import Exit
from sagactl.oncall.acting import Asked, agreed
from sagactl.oncall.order_acts import Act, OrderAct, plan, shown
from sagactl.oncall.stocking import planned
from sagactl.output import Output
from services.inventory.stock import Stock
from services.order.model import Order, RefundLine, Restocking, Status
from tests.unit.explain.desk import NOW, Desk

REFUND: Final = ("refund", "order-1", "--reason", "why", "--yes")


def planned_at(desk: Desk, act: Act, lines: Sequence[RefundLine] = ()) -> OrderAct:
    return plan(desk.one(Order), desk.marks(), act, lines)


def screen(act: OrderAct) -> str:
    return "\n".join(map(str, shown(act).text(False)))  # noqa: FBT003  # as `Shown` has it


def test_what_the_table_forbids_is_refused_in_its_words() -> None:
    paid = Desk().paid()
    found = planned_at(paid, Act.CANCEL)
    assert (found.allowed, found.emits, found.lines, found.amount) == (False, (), (), None)
    assert f"refused[/]  cancel: {found.says}" in screen(found)
    assert not planned_at(paid, Act.COMPENSATE).allowed
    new = planned_at(Desk(), Act.REFUND)
    assert (new.allowed, new.amount) == (False, None)


@pytest.mark.parametrize("act", [Act.CANCEL, Act.COMPENSATE])
def test_an_open_order_may_be_ended(act: Act) -> None:
    found = planned_at(Desk().heard("inventory", "orders"), act)
    assert (found.status, found.allowed, found.amount) == (Status.CONFIRMED, True, None)
    assert found.says.startswith("CONFIRMED -> CANCELLED")
    assert found.emits
    assert found.says in screen(found)


def test_of_an_order_that_is_cancelled_nothing_is_left_to_do() -> None:
    found = planned_at(Desk(declines=True).declined(), Act.CANCEL)
    assert (found.allowed, found.says) == (False, "the order is CANCELLED already")


def test_a_refund_tells_what_is_asked_back_and_what_it_comes_to() -> None:
    paid = Desk().paid()
    order = paid.one(Order)
    (line,) = order.lines
    whole = planned_at(paid, Act.REFUND)
    assert (whole.allowed, whole.lines[0].quantity) == (True, line.quantity)
    one = planned_at(paid, Act.REFUND, [RefundLine(line.product_id, 1, Restocking.NONE)])
    assert (one.allowed, one.lines[0].quantity, one.lines[0].restock) == (True, 1, Restocking.NONE)
    assert whole.amount is not None
    assert one.amount is not None
    assert float(whole.amount) == pytest.approx(line.quantity * float(one.amount))
    assert f"1 of {line.product_id}, which do not come back" in screen(one)
    assert f"{one.amount} {order.currency}" in screen(one)


@pytest.mark.parametrize("line", [RefundLine("lamp", 99), RefundLine("cup", 1)])
def test_more_than_is_left_is_refused(line: RefundLine) -> None:
    found = planned_at(Desk().paid(), Act.REFUND, [line])
    assert (found.allowed, found.amount) == (False, None)


def test_what_was_done_says_how_the_order_is_now() -> None:
    done = structs.replace(planned_at(Desk(), Act.CANCEL), status=Status.CANCELLED, done=True)
    assert "cancel: the order is CANCELLED" in screen(done)


def test_stock_is_restocked_by_inventorys_rules() -> None:
    lamp = Stock(id="lamp", available=10, initial=10)
    found = planned(lamp, 5, NOW)
    assert (found.allowed, found.available, found.says) == (True, 10, "10 -> 15 available")
    gone = planned(lamp.ended(), 5, NOW)
    assert (gone.allowed, "discontinued" in gone.says) == (False, True)


@pytest.mark.parametrize(
    ("allowed", "asked", "code"),
    [
        (False, {}, Exit.BAD),
        (False, {"dry_run": True}, Exit.BAD),
        (True, {"dry_run": True}, Exit.NOT_YET),
    ],
)
def test_a_plan_that_is_not_carried_out_is_told_and_its_exit_code_says_why(
    allowed: bool,  # noqa: FBT001  # a parameter of the test
    asked: Mapping[str, Any],
    code: Exit,
    capsys: pytest.CaptureFixture[str],
) -> None:
    how = Asked("why", dry_run=False, yes=True, output=Output.JSON)._replace(**asked)
    with pytest.raises(typer.Exit) as ended:
        agreed(shown(planned_at(Desk(), Act.CANCEL)), "Cancel it?", how, allowed=allowed)
    assert ended.value.exit_code == code
    assert '"act": "cancel"' in capsys.readouterr().out


def test_a_program_that_has_agreed_is_told_what_came_of_it_alone(capsys: pytest.CaptureFixture[str]) -> None:
    how = Asked("why", dry_run=False, yes=True, output=Output.JSON)
    agreed(shown(planned_at(Desk(), Act.CANCEL)), "Cancel it?", how, allowed=True)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ((*REFUND, "--line", "lamp"), "PRODUCT=2"),
        ((*REFUND, "--line", "lamp=0"), "PRODUCT=2"),
        ((*REFUND, "--line", "=2"), "PRODUCT=2"),
        ((*REFUND, "--restock", "none"), "--line PRODUCT=PIECES"),
        (("cancel", "order-1", "--yes"), "--reason TEXT"),
        (("cancel", "order-1", "--yes", "--reason", " "), "--reason TEXT"),
    ],
)
def test_what_is_not_said_as_it_has_to_be_asks_nobody(
    given: Sequence[str], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("MONGODB_URL", "AMQP_URL", "MANAGEMENT_URL"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    result = CliRunner().invoke(app, ["orders", *given], env={"COLUMNS": "250"})
    assert (result.exit_code, says in result.output) == (Exit.USAGE, True), result.output
