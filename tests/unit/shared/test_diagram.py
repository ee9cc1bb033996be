"""What is drawn in the documents is what runs."""

from pathlib import Path

import pytest

from services.inventory.diagram import DRAWING as LINES
from services.order.diagram import DRAWING as SAGA
from services.payment.diagram import DRAWING as PAYMENTS
from services.shared.contract.diagram import Drawing

ROOT = Path(__file__).parents[3]
TABLES = ROOT / "docs" / "tables.md"


@pytest.mark.parametrize(
    ("drawing", "file"),
    [(SAGA, ROOT / "README.md"), (SAGA, TABLES), (PAYMENTS, TABLES), (LINES, TABLES)],
    ids=lambda each: each.name,
)
def test_the_documents_show_the_tables_that_run(drawing: Drawing, file: Path) -> None:
    """Where this fails: `make docs`."""
    assert drawing.written_into(file.read_text()) == file.read_text()


def test_the_diagram_has_every_way_of_an_order() -> None:
    assert SAGA.draw().splitlines() == [
        "stateDiagram-v2",
        "    [*] --> PENDING: ORDER_CREATED",
        "    PENDING --> CONFIRMED: INVENTORY_RESERVED",
        "    PENDING --> CANCELLED: INVENTORY_RESERVE_FAILED / CUSTOMER_CANCELLED / SAGA_TIMEOUT",
        "    CONFIRMED --> PAID: PAYMENT_SUCCEEDED",
        "    CONFIRMED --> CANCELLED: PAYMENT_FAILED / CUSTOMER_CANCELLED / SAGA_TIMEOUT",
        "    PAID --> REFUNDING: REFUND_REQUESTED",
        "    REFUNDING --> REFUNDED: PAYMENT_REFUNDED / REFUND_SETTLED_OUTSIDE / INVENTORY_RELEASED",
        "    PAID --> [*]",
        "    CANCELLED --> [*]",
        "    REFUNDED --> [*]",
    ]


def test_the_diagram_has_every_way_of_a_payment() -> None:
    assert PAYMENTS.draw().splitlines() == [
        "stateDiagram-v2",
        "    [*] --> CAPTURED: ORDER_CONFIRMED",
        "    [*] --> CAPTURING: ORDER_CONFIRMED",
        "    [*] --> VOIDED: ORDER_CANCELLED",
        "    CAPTURING --> CAPTURED: GATEWAY_CAPTURED",
        "    CAPTURING --> VOIDING: ORDER_CANCELLED",
        "    CAPTURING --> PENDING: GATEWAY_PENDING",
        "    CAPTURING --> AUTHORIZED: GATEWAY_AUTHORIZED",
        "    CAPTURING --> DECLINED: GATEWAY_DECLINED / GATEWAY_VOIDED",
        "    PENDING --> CAPTURED: GATEWAY_CAPTURED",
        "    PENDING --> VOIDING: ORDER_CANCELLED",
        "    PENDING --> AUTHORIZED: GATEWAY_AUTHORIZED",
        "    PENDING --> DECLINED: GATEWAY_DECLINED / GATEWAY_VOIDED",
        "    AUTHORIZED --> CAPTURED: GATEWAY_CAPTURED",
        "    AUTHORIZED --> VOIDING: ORDER_CANCELLED",
        "    AUTHORIZED --> DECLINED: GATEWAY_DECLINED / GATEWAY_VOIDED",
        "    VOIDING --> CAPTURED: GATEWAY_CAPTURED",
        "    VOIDING --> VOIDED: GATEWAY_DECLINED / GATEWAY_VOIDED",
        "    CAPTURED --> REFUNDING: PAYMENT_REFUND",
        "    CAPTURED --> REFUNDED: PAYMENT_REFUND",
        "    REFUNDING --> REFUNDED: PAYMENT_REFUND / GATEWAY_REFUNDED",
        "    REFUNDING --> CAPTURED: PAYMENT_REFUND / GATEWAY_REFUNDED",
        "    REFUNDED --> REFUNDING: PAYMENT_REFUND",
        "    CAPTURED --> [*]",
        "    DECLINED --> [*]",
        "    VOIDED --> [*]",
        "    REFUNDED --> [*]",
    ]


def test_the_diagram_has_every_way_of_a_line() -> None:
    assert LINES.draw().splitlines() == [
        "stateDiagram-v2",
        "    [*] --> HELD: INVENTORY_RESERVE_REQUEST",
        "    [*] --> REFUSED: INVENTORY_RESERVE_REQUEST",
        "    [*] --> RELEASED: INVENTORY_RELEASE_REQUEST / PAYMENT_FAILED",
        "    HELD --> RELEASED: INVENTORY_RESERVE_REQUEST / INVENTORY_RELEASE_REQUEST / PAYMENT_FAILED",
        "    HELD --> SOLD: ORDER_PAID",
        "    SOLD --> RELEASED: INVENTORY_RELEASE_REQUEST",
        "    REFUSED --> [*]",
        "    RELEASED --> [*]",
        "    SOLD --> [*]",
    ]


def test_it_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    SAGA.main([])
    assert capsys.readouterr().out == f"{SAGA.draw()}\n"


def test_writing_it_leaves_the_rest_of_each_file_alone(tmp_path: Path) -> None:
    files = [tmp_path / "README.md", tmp_path / "tables.md"]
    for file in files:
        file.write_text(
            f"before\n{SAGA.begin}\nan older one\n{SAGA.end}\nafter\n{LINES.begin}\n{LINES.end}\n"
        )
    SAGA.main(["--write", *map(str, files)])
    for file in files:
        drawn = f"before\n{SAGA.begin}\n```mermaid\n{SAGA.draw()}\n```\n{SAGA.end}\nafter\n"
        assert file.read_text() == f"{drawn}{LINES.begin}\n{LINES.end}\n"


@pytest.mark.parametrize(("text", "why"), [(None, "No such file"), ("no place for it", "are wanted")])
def test_a_file_that_cannot_be_written_into_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str | None, why: str
) -> None:
    file = tmp_path / "README.md"
    if text is not None:
        file.write_text(text)
    with pytest.raises(SystemExit, match="2"):
        SAGA.main(["--write", str(file)])
    told = capsys.readouterr().err
    assert str(file) in told
    assert why in told


@pytest.mark.parametrize(
    "text",
    [
        "",
        f"{SAGA.begin}\n",
        f"{SAGA.end}\n{SAGA.begin}\n",
        f"{SAGA.begin}\n{SAGA.end}\n{SAGA.begin}\n{SAGA.end}\n",
    ],
)
def test_a_file_without_its_place_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="are wanted"):
        SAGA.written_into(text)
