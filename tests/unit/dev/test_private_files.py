"""Files for their owner alone, which others read while they are written anew."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from dev.files import write_private

TEXTS = ("a" * 10_000, "b" * 20_000)
TIMES = 200


def test_whoever_reads_meanwhile_sees_the_whole_of_the_old_or_of_the_new(tmp_path: Path) -> None:
    path = write_private(tmp_path / "stack.json", TEXTS[0])

    def write() -> None:
        for number in range(TIMES):
            write_private(path, TEXTS[number % 2])

    with ThreadPoolExecutor(1) as thread:
        writing = thread.submit(write)
        seen = {path.read_text()}
        while not writing.done():
            seen.add(path.read_text())
        writing.result()
    assert seen <= {*TEXTS}


def test_it_is_its_owners_alone_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "stack.json"
    path.write_text("anybody's")
    path.chmod(0o644)
    write_private(path, "secret")
    assert (path.stat().st_mode & 0o777, path.read_text()) == (0o600, "secret")
    assert [*tmp_path.iterdir()] == [path]
