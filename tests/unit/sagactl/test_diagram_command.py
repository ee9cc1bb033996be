"""What is drawn: the tables, as the docs have them, and an order's messages."""

from pathlib import Path
from typing import Final

import pytest
from typer.testing import CliRunner

from sagactl.cli import app
from sagactl.oncall.diagram import Of, drawn
from sagactl.oncall.explain.explaining import explain
from tests.unit.explain.desk import Desk

DOCS: Final = Path(__file__).parents[3] / "docs" / "tables.md"


@pytest.mark.parametrize("of", Of)
def test_a_table_is_drawn_as_the_docs_have_it(of: Of) -> None:
    result = CliRunner().invoke(app, ["diagram", "--of", of])
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("stateDiagram-v2\n")
    assert result.stdout in DOCS.read_text()


def test_an_orders_messages_are_drawn_from_service_to_service() -> None:
    first, *steps = drawn(explain(Desk().heard("inventory", "orders").marks()))
    assert first == "sequenceDiagram"
    assert "    order->>inventory: INVENTORY_RESERVE_REQUEST" in steps
    # Nobody has it: it has not arrived.
    assert [step for step in steps if "order-xpayment: ORDER_CONFIRMED (MISSING)" in step]
