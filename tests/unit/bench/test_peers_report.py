"""What the turns of the peers come to."""

from io import StringIO

import pytest
from rich.console import Console

from bench.load import Load, Offered, Saga
from bench.meter import Usage
from bench.peers.report import OURS, Turn, document, table


def turn(seconds: float, cpu_seconds: float) -> Turn:
    """Ten orders."""
    return Turn(
        Load(10, 2),
        Offered(ids=[str(number) for number in range(10)], posts=[0.01] * 10),
        [Saga(0.2, 0.0)] * 10,
        seconds,
        Usage({"shop": 1.0}, {}),
        Usage({"shop": 1.0 + cpu_seconds, "worker": 0.1}, {}),
    )


TURNS = {
    OURS: [turn(1, 0.1), turn(2, 0.1), turn(0.5, 0.1)],
    "peer": [turn(4, 0.5), turn(5, 0.3), turn(2.5, 0.7)],
}


def test_the_table_has_medians_and_what_they_are_of_ours() -> None:
    screen = StringIO()
    Console(file=screen, width=150).print(table("a phase", TURNS))
    (row,) = [line for line in screen.getvalue().splitlines() if "peer" in line]
    cells = [cell.strip() for cell in row.strip("│").split("│")]
    assert cells == ["peer", "2 (2 to 4)", "0.25", "10/10", "200/200", "60.0", "3.0"]


def test_the_file_has_every_turn_by_process_and_the_machine() -> None:
    found = document({"gateway": TURNS}, {"dbos": "3"})
    peer = found["phases"]["gateway"]["peer"]
    assert peer["median"]["per_second"] == pytest.approx(2.5)
    assert [each["settledPerSecond"] for each in peer["turns"]] == [2.5, 2.0, 4.0]
    assert peer["turns"][0]["cpuMsPerOrderByProcess"] == {"shop": 50.0, "worker": 10.0}
    assert found["setUp"] == {"dbos": "3"}
    assert found["machine"]["cores"]
