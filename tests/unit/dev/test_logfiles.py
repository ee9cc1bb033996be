"""Logs outlive their runs, say where one begins, and stay small."""

import json
from pathlib import Path

from dev import logfiles


def test_a_log_keeps_earlier_runs_and_tells_the_last_one(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "order.log"
    for run in ("first", "second"):
        logfiles.begin(log)
        with log.open("a") as file:
            file.write(f"{run}\n")
    lines = log.read_text().splitlines()
    assert [lines[1], lines[3]] == ["first", "second"]
    assert json.loads(lines[2])["service"] == "order"
    assert [*logfiles.last_run(log)] == ["second"]


def test_a_full_log_moves_its_end_to_a_second_file_and_its_process_goes_on_writing(tmp_path: Path) -> None:
    log = tmp_path / "order.log"
    with log.open("ab", buffering=0) as process:
        for number in range(100):
            process.write(f"line {number}\n".encode())
        logfiles.bound(log, limit=500, kept=200)
        process.write(b"after\n")
    kept = (tmp_path / "order.log.1").read_text().splitlines()
    assert kept == [f"line {number}" for number in range(100 - len(kept), 100)]
    assert 20 <= len(kept) <= 25
    assert log.read_text() == "after\n"


def test_a_log_below_its_limit_is_left_alone(tmp_path: Path) -> None:
    log = tmp_path / "order.log"
    log.write_text("one\n")
    logfiles.bound(log, limit=500, kept=200)
    assert log.read_text() == "one\n"
    assert not (tmp_path / "order.log.1").exists()
