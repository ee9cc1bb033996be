"""A process whose Secrets change ends, once they are whole, and says before that it is not ready any more."""

import asyncio
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.shared.health import Readiness
from services.shared.new_secrets import Renewal
from services.shared.secret_files import fingerprint
from services.shared.settings import Port, Settings

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


def wrong_in(folder: Path) -> list[str]:
    """A process that begins with these files refuses an AMQP_URL which is none."""
    url = (folder / "AMQP_URL").read_text()
    return [] if url.startswith("amqp") else ["AMQP_URL: give a URL"]


def renewal(mounted: Mounted, ended: list[bool], drain: float = 0.0) -> Renewal:
    return Renewal(
        mounted.folder,
        fingerprint(mounted.folder),
        lambda: wrong_in(mounted.folder),
        LOOK,
        spread=0.0,
        drain=drain,
        end=lambda: ended.append(True),
    )


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
    mounted.show(AMQP_URL="amqp://another")
    await asyncio.sleep(0.3)
    assert not found.of(READY).ready
    assert ended == []
    await asyncio.wait_for(watching, 5)
    assert ended == [True]


async def test_what_changed_after_it_was_read_and_before_anybody_watched_ends_the_process_too(
    mounted: Mounted,
) -> None:
    ended: list[bool] = []
    found = renewal(mounted, ended)
    mounted.show(AMQP_URL="amqps://elsewhere", MONGODB_URL="mongodb://db")
    await asyncio.wait_for(found.watch(), 5)
    assert ended == [True]


async def test_a_process_stays_with_what_it_read_while_it_could_not_begin_with_the_new_and_says_so_once(
    mounted: Mounted, caplog: pytest.LogCaptureFixture
) -> None:
    ended: list[bool] = []
    found = renewal(mounted, ended)
    watching = asyncio.create_task(found.watch())
    await asyncio.sleep(5 * LOOK)
    mounted.show(AMQP_URL="s3cret", MONGODB_URL="mongodb://db")
    await asyncio.sleep(20 * LOOK)
    assert (watching.done(), found.of(READY), ended) == (False, READY, [])
    (said,) = caplog.records
    assert (said.levelname, "AMQP_URL: give a URL" in said.message) == ("ERROR", True)
    assert "s3cret" not in caplog.text
    mounted.show(AMQP_URL="also wrong", MONGODB_URL="mongodb://db")
    await asyncio.sleep(20 * LOOK)
    assert len(caplog.records) == 2
    mounted.show(AMQP_URL="amqps://elsewhere", MONGODB_URL="mongodb://db")
    await asyncio.wait_for(watching, 5)
    assert ended == [True]


async def test_what_becomes_wrong_while_a_process_waits_for_its_turn_is_stayed_away_from(
    mounted: Mounted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.shared.new_secrets.random.uniform", lambda _, most: most)
    ended: list[bool] = []
    found = renewal(mounted, ended)
    found.spread = 20 * LOOK
    watching = asyncio.create_task(found.watch())
    mounted.show(AMQP_URL="amqps://elsewhere", MONGODB_URL="mongodb://db")
    await asyncio.sleep(10 * LOOK)
    mounted.show(AMQP_URL="wrong", MONGODB_URL="mongodb://db")
    await asyncio.sleep(40 * LOOK)
    assert (watching.done(), ended) == (False, [])
    watching.cancel()


class Own(Settings):
    service = "order"
    port: Port = 1
    ratio: float = 1.0
    several: tuple[int, ...] = ()


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> type[Own]:
    """Settings of a process with SECRETS_DIR."""
    monkeypatch.setenv("SECRETS_DIR", str(tmp_path))
    monkeypatch.setitem(Own.model_config, "secrets_dir", str(tmp_path))
    return Own


def test_without_a_folder_there_is_nothing_to_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SECRETS_DIR", raising=False)
    assert Renewal.of_process(Own.given()) is None


def test_what_is_compared_with_is_what_was_there_before_it_was_read(own: type[Own], tmp_path: Path) -> None:
    (tmp_path / "ratio").write_text("0.5")
    before = fingerprint(tmp_path)

    class Meanwhile(own):  # type: ignore[valid-type,misc]  # mypy knows no base that is a variable
        def model_post_init(self, context: object) -> None:
            (tmp_path / "ratio").write_text("0.7")
            super().model_post_init(context)

    settings = Meanwhile.given()
    assert settings.ratio == 0.5
    found = Renewal.of_process(settings)
    assert found is not None
    assert (found.read, found.folder) == (before, tmp_path)


@pytest.mark.parametrize(
    ("name", "content"), [("ratio", b"s3cret"), ("ratio", b"\xffs3cret"), ("several", b"[s3cret")]
)
def test_a_file_that_no_process_could_begin_with_is_told_by_the_name_of_the_setting(
    own: type[Own], tmp_path: Path, name: str, content: bytes
) -> None:
    found = Renewal.of_process(own.given())
    assert found is not None
    assert found.wrong() == []
    (tmp_path / name).write_bytes(content)
    (sentence,) = found.wrong()
    assert name in sentence.lower()
    assert "s3cret" not in sentence
    with pytest.raises(SystemExit) as ended:
        own.given()
    assert str(ended.value) == sentence


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
