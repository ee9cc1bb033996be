"""What `make logs` shows of the files that a stack writes."""

import json
import os
import signal
import subprocess
from pathlib import Path

from dev.logs import Reader, Wanted

ROOT = Path(__file__).parents[3]


def write(directory: Path, process: str, *lines: dict[str, str] | str) -> None:
    with (directory / f"{process}.log").open("a") as log:
        log.writelines((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines)


def at(second: int, message: str, order: str = "o-1") -> dict[str, str]:
    return {"timestamp": f"2026-11-25T12:00:{second:02}.000000Z", "message": message, "order_id": order}


def test_lines_of_all_services_come_in_the_order_in_which_things_happened(tmp_path: Path) -> None:
    write(tmp_path, "order", at(1, "PENDING"), at(3, "CONFIRMED"))
    write(tmp_path, "inventory-2", at(2, "HELD"))
    lines = [line.plain for line in Reader(tmp_path, Wanted(), colours=False).new()]
    assert [line.split()[2:4] for line in lines] == [
        ["order", "PENDING"],
        ["inventory-2", "HELD"],
        ["order", "CONFIRMED"],
    ]


def test_of_one_order_there_is_only_what_names_it(tmp_path: Path) -> None:
    write(tmp_path, "order", at(1, "mine"), at(2, "another", "o-2"), at(3, "GET /o-1 -> 404", ""))
    reader = Reader(tmp_path, Wanted(order="o-1"), colours=False)
    assert len(reader.new()) == 2


def test_of_one_service_there_are_all_its_replicas(tmp_path: Path) -> None:
    for process in ("order", "order-2", "payment", "mongodb"):
        write(tmp_path, process, at(1, process))
    lines = [line.plain for line in Reader(tmp_path, Wanted(("order",)), colours=False).new()]
    assert {line.split()[3] for line in lines} == {"order", "order-2"}


def test_servers_are_shown_to_those_who_ask_for_them(tmp_path: Path) -> None:
    write(tmp_path, "rabbitmq", "Starting broker...")
    assert Reader(tmp_path, Wanted(), colours=False).new() == []
    (line,) = Reader(tmp_path, Wanted(("rabbitmq",)), colours=False).new()
    assert line.plain.split() == ["rabbitmq", "Starting", "broker..."]


def test_a_traceback_stays_with_the_line_before_it(tmp_path: Path) -> None:
    write(tmp_path, "order", at(1, "first"), "Traceback", at(4, "last"))
    write(tmp_path, "payment", at(2, "between"))
    lines = [line.plain for line in Reader(tmp_path, Wanted(), colours=False).new()]
    assert [line.split()[-2] if "order_id" in line else line.split()[-1] for line in lines] == [
        "first",
        "Traceback",
        "between",
        "last",
    ]


def test_what_was_shown_is_not_shown_again_and_what_comes_is(tmp_path: Path) -> None:
    reader = Reader(tmp_path, Wanted(), colours=False)
    write(tmp_path, "order", at(1, "one"))
    assert len(reader.new()) == 1
    with (tmp_path / "order.log").open("a") as log:
        log.write('{"message": "half a li')
    assert reader.new() == []
    write(tmp_path, "order", 'ne", "timestamp": "2026-11-25T12:00:02Z"}')
    (line,) = reader.new()
    assert "half a line" in line.plain


def test_ctrl_c_is_how_they_end_and_no_error_of_makes(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    write(tmp_path / "logs", "order", at(1, "PENDING"))
    followed = subprocess.Popen(
        # Whoever runs in the background of a shell is deaf to Ctrl-C, and so is whom it starts.
        ["/usr/bin/env", "--default-signal=INT", "make", "--no-print-directory", "logs"],
        cwd=ROOT,
        env=os.environ | {"STACK_DIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,  # a terminal tells all of them
    )
    with followed:
        try:
            assert followed.stdout is not None
            assert followed.stderr is not None
            assert "PENDING" in followed.stdout.readline()
            os.killpg(followed.pid, signal.SIGINT)
            assert followed.stdout.read() + followed.stderr.read() == ""
            assert followed.wait(60) in {0, -signal.SIGINT}
        finally:
            followed.kill()
