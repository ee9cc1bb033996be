"""A process whose Secrets change ends, once they are whole, and says before that it is not ready any more."""

import asyncio
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.shared.health import Readiness
from services.shared.new_secrets import Renewal, fingerprint

LOOK = 0.02
READY = Readiness(ready=True, detail="ok")


class Mounted:
    """A Secret as the kubelet mounts it: files are links into a folder that is replaced as a whole."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._versions = 0

    def show(self, **files: str) -> None:
        self._versions += 1
        version = self.folder / f"..{self._versions}"
        version.mkdir()
        for name, content in files.items():
            (version / name).write_text(content)
        (self.folder / "..next").symlink_to(version.name)
        (self.folder / "..next").replace(self.folder / "..data")
        for name in files:
            if not (self.folder / name).is_symlink():
                (self.folder / name).symlink_to(f"..data/{name}")


@pytest.fixture
def mounted(tmp_path: Path) -> Mounted:
    found = Mounted(tmp_path)
    found.show(AMQP_URL="amqp://bundled", MONGODB_URL="mongodb://db")
    return found


def renewal(mounted: Mounted, ended: list[bool], drain: float = 0.0) -> Renewal:
    return Renewal(mounted.folder, LOOK, spread=0.0, drain=drain, end=lambda: ended.append(True))


async def test_another_content_ends_the_process(mounted: Mounted) -> None:
    ended: list[bool] = []
    watching = asyncio.create_task(renewal(mounted, ended).watch())
    await asyncio.sleep(10 * LOOK)
    mounted.show(AMQP_URL="amqps://elsewhere", MONGODB_URL="mongodb://db")
    await asyncio.wait_for(watching, 5)
    assert ended == [True]


async def test_the_same_content_in_new_files_and_one_that_was_changed_back_end_nothing(
    mounted: Mounted,
) -> None:
    ended: list[bool] = []
    watching = asyncio.create_task(renewal(mounted, ended).watch())
    await asyncio.sleep(5 * LOOK)
    mounted.show(AMQP_URL="amqp://bundled", MONGODB_URL="mongodb://db")
    await asyncio.sleep(10 * LOOK)
    assert not watching.done()
    watching.cancel()
    assert ended == []


async def test_a_process_is_not_ready_while_it_is_about_to_end(mounted: Mounted) -> None:
    ended: list[bool] = []
    found = renewal(mounted, ended, drain=0.5)
    watching = asyncio.create_task(found.watch())
    await asyncio.sleep(5 * LOOK)
    assert found.of(READY) == READY
    mounted.show(AMQP_URL="another")
    await asyncio.sleep(0.3)
    assert not found.of(READY).ready
    assert ended == []
    await asyncio.wait_for(watching, 5)
    assert ended == [True]


def test_without_a_folder_there_is_nothing_to_watch(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("SECRETS_DIR", raising=False)
    assert Renewal.of_environment() is None
    monkeypatch.setenv("SECRETS_DIR", str(tmp_path))
    assert Renewal.of_environment() == Renewal(tmp_path)


names = st.text("abc", min_size=1, max_size=3)


contents = st.dictionaries(names, st.text("xy", max_size=3), max_size=3)


def fingerprint_of(files: dict[str, str]) -> str:
    with tempfile.TemporaryDirectory() as folder:
        for name, text in files.items():
            Path(folder, name).write_text(text)
        return fingerprint(Path(folder))


@given(contents, contents)
def test_two_folders_have_the_same_fingerprint_only_if_they_hold_the_same(
    files: dict[str, str], others: dict[str, str]
) -> None:
    assert fingerprint_of(files) == fingerprint_of(dict(reversed(files.items())))
    assert (fingerprint_of(files) == fingerprint_of(others)) == (files == others)


def test_a_file_that_cannot_be_read_raises_nothing(tmp_path: Path) -> None:
    (tmp_path / "gone").symlink_to("nowhere")
    assert fingerprint(tmp_path)
