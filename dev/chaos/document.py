"""Tells what was really played, from the results that are kept (`make docs`).

A run is kept by having it write there: `make chaos SEED=7 CHAOS="--json docs/chaos/seed-7.json"`.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final, TypeAlias

from dev.chaos.faults import FAULTS
from dev.markdown import between, table
from dev.services import REPOSITORY

Json: TypeAlias = Mapping[str, Any]
DOCUMENT: Final = REPOSITORY / "docs" / "survive.md"
KEPT: Final = REPOSITORY / "docs" / "chaos"
FAULT_HEAD: Final = ("fault", "what happens", "alert", "alone", "with another", "recovered after, at most")
SEED_HEAD: Final = ("seed", "rounds", "when", "accepted", "503", "survived", "recovered after, at most")


def kept(folder: Path = KEPT) -> list[Json]:
    """The results, by their seeds, each seed's by their time."""
    found = [json.loads(file.read_text()) for file in folder.glob("*.json")]
    return sorted(found, key=lambda run: (run["seed"], run["rounds"][0]["beganAt"]))


def by_fault(runs: Sequence[Json]) -> list[str]:
    """A row for each fault that there is, be it that it was never played."""
    rounds = [each for run in runs for each in run["rounds"]]
    return table(FAULT_HEAD, *(_of_fault(name, rounds) for name in FAULTS))


def by_seed(runs: Sequence[Json]) -> list[str]:
    """A row for each run, and the totals."""
    return [*table(SEED_HEAD, *map(_of_run, runs)), "", total(runs)]


def total(runs: Sequence[Json]) -> str:
    """How many rounds were played and survived, in one sentence."""
    rounds = [each for run in runs for each in run["rounds"]]
    pairs = sum(len(each["faults"]) > 1 for each in rounds)
    seeds = len({run["seed"] for run in runs})
    return (
        f"In total {len(rounds)} rounds of {seeds} seeds: {len(rounds) - pairs} single faults"
        f" and {pairs} pairs. Survived: {_survived(rounds)}."
    )


def _of_fault(name: str, rounds: Sequence[Json]) -> tuple[str, ...]:
    fault = FAULTS[name]
    alone = [each for each in rounds if each["faults"] == [name]]
    paired = [each for each in rounds if name in each["faults"] and len(each["faults"]) > 1]
    alert = f"`{fault.alert}`" if fault.alert else ""
    return (f"`{name}`", fault.says, alert, _survived(alone), _survived(paired), _slowest(alone))


def _of_run(run: Json) -> tuple[str, ...]:
    rounds: Sequence[Json] = run["rounds"]
    numbers = [each["round"] for each in rounds]
    when = datetime.fromisoformat(rounds[0]["beganAt"])
    accepted, refused = (f"{_sum(rounds, outcome):,}" for outcome in ("accepted", "refused"))
    return (
        str(run["seed"]),
        f"{min(numbers)} to {max(numbers)}",
        f"{when.day} {when:%B %Y}",
        accepted,
        refused,
        _survived(rounds),
        _slowest(rounds),
    )


def _sum(rounds: Sequence[Json], outcome: str) -> int:
    return sum(each["attempts"][outcome] for each in rounds)


def _survived(rounds: Sequence[Json]) -> str:
    if not rounds:
        return ""
    return f"{sum(not each['failures'] for each in rounds)} of {len(rounds)}"


def _slowest(rounds: Sequence[Json]) -> str:
    return f"{max(times):.1f} s" if (times := [*_recoveries(rounds)]) else ""


def _recoveries(rounds: Sequence[Json]) -> Iterator[float]:
    for each in rounds:
        if each["recoverySeconds"] is not None:
            yield each["recoverySeconds"]


def document(text: str, runs: Sequence[Json]) -> str:
    """The text with both tables. Raises ValueError where it has no place for them."""
    return between(between(text, "chaos-faults", by_fault(runs)), "chaos-seeds", by_seed(runs))


def main() -> None:
    DOCUMENT.write_text(document(DOCUMENT.read_text(), kept()))


if __name__ == "__main__":
    main()
