"""What the documents tell of chaos is what was played."""

from typing import Any, Final

from dev.chaos.document import DOCUMENT, by_fault, by_seed, document, kept
from dev.chaos.faults import FAULTS
from dev.survive.attempts import Outcome


def played(number: int, *faults: str, recovered: float | None, failures: int = 0) -> dict[str, Any]:
    return {
        "round": number,
        "faults": list(faults),
        "seconds": 8.0,
        "beganAt": "2026-11-27T21:00:00+00:00",
        "attempts": {**dict.fromkeys(Outcome, 0), "accepted": 600, "refused": 5},
        "recoverySeconds": recovered,
        "alerts": [],
        "failures": [{"what": "it", "ids": []}] * failures,
    }


RUN: Final = {
    "seed": 7,
    "rounds": [
        played(1, "broker-killed", recovered=1.5),
        played(2, "broker-killed", recovered=None, failures=2),
        played(3, "redis-killed", "broker-killed", recovered=9.0),
    ],
}


def test_the_document_tells_of_the_runs_that_are_kept_and_of_every_fault_in_them() -> None:
    """Where this fails: `make docs`."""
    text, runs = DOCUMENT.read_text(), kept()
    assert document(text, runs) == text
    assert {name for run in runs for each in run["rounds"] for name in each["faults"]} <= set(FAULTS)


def test_a_fault_is_told_of_alone_and_with_another() -> None:
    told = {row.split("`")[1]: row for row in by_fault([RUN])[2:]}
    assert set(told) == set(FAULTS)
    assert told["broker-killed"].endswith("| `SagashopBrokerDisconnected` | 1 of 2 | 1 of 1 | 1.5 s |")
    assert told["redis-killed"].endswith("| | | 1 of 1 | |")
    assert told["redis-slow"].endswith("| | | | |")


def test_a_seed_is_told_of_with_what_it_came_to() -> None:
    assert by_seed([RUN])[2:] == [
        "| 7 | 1 to 3 | 27 November 2026 | 1,800 | 15 | 2 of 3 | 9.0 s |",
        "",
        "In total 3 rounds of 1 seeds: 2 single faults and 1 pairs. Survived: 2 of 3.",
    ]
