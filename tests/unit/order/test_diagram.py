"""The README shows the saga that runs."""

from pathlib import Path

import pytest

from services.order.diagram import BEGIN, END, diagram, main, written_into

README = Path(__file__).parents[3] / "README.md"


def test_the_readme_shows_the_table_that_runs() -> None:
    """Where this fails: `python -m services.order.diagram --write README.md`."""
    assert written_into(README.read_text()) == README.read_text()


def test_the_diagram_has_every_way_of_an_order() -> None:
    assert diagram().splitlines() == [
        "stateDiagram-v2",
        "    [*] --> PENDING: ORDER_CREATED",
        "    PENDING --> CONFIRMED: INVENTORY_RESERVED",
        "    PENDING --> CANCELLED: INVENTORY_RESERVE_FAILED / CUSTOMER_CANCELLED / SAGA_TIMEOUT",
        "    CONFIRMED --> PAID: PAYMENT_SUCCEEDED",
        "    CONFIRMED --> CANCELLED: PAYMENT_FAILED / CUSTOMER_CANCELLED / SAGA_TIMEOUT",
        "    PAID --> REFUNDING: REFUND_REQUESTED",
        "    REFUNDING --> REFUNDED: INVENTORY_RELEASED",
        "    PAID --> [*]",
        "    CANCELLED --> [*]",
        "    REFUNDED --> [*]",
    ]


def test_it_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    main([])
    assert capsys.readouterr().out == f"{diagram()}\n"


def test_writing_it_leaves_the_rest_of_the_file_alone(tmp_path: Path) -> None:
    file = tmp_path / "README.md"
    file.write_text(f"before\n{BEGIN}\nan older one\n{END}\nafter\n")
    main(["--write", str(file)])
    assert file.read_text() == f"before\n{BEGIN}\n```mermaid\n{diagram()}\n```\n{END}\nafter\n"


@pytest.mark.parametrize("text", ["", f"{BEGIN}\n", f"{END}\n{BEGIN}\n", f"{BEGIN}\n{END}\n{BEGIN}\n{END}\n"])
def test_a_file_without_its_place_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="are wanted"):
        written_into(text)
