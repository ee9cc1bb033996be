"""Who says where the shop is: the environment first, then mounted Secrets, then a local stack."""

import json
from pathlib import Path

import pytest

from sagactl import access
from sagactl.access import URLS, Access, NoAccessError, required, setting


@pytest.fixture(autouse=True)
def nothing_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in (*URLS, *URLS.values(), access.SECRETS_DIR, "ADMIN_EMAIL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def a_stack(directory: Path, mongodb: str) -> Path:
    directory.mkdir()
    checker = {"mongodbUrl": mongodb, "amqpUrl": "amqp://c", "managementUrl": "http://c"}
    (directory / "stack.json").write_text(json.dumps({"checker": checker}))
    return directory


def test_a_variable_is_taken_before_the_file_of_a_mounted_secret(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert setting("ADMIN_EMAIL") is None
    (tmp_path / "ADMIN_EMAIL").write_text("file@shop.example\n")
    monkeypatch.setenv(access.SECRETS_DIR, str(tmp_path))
    assert setting("ADMIN_EMAIL") == required("ADMIN_EMAIL") == "file@shop.example"
    monkeypatch.setenv("ADMIN_EMAIL", "variable@shop.example")
    assert setting("ADMIN_EMAIL") == "variable@shop.example"


def test_what_is_required_and_was_not_given_is_named() -> None:
    with pytest.raises(NoAccessError, match="set ADMIN_EMAIL"):
        required("ADMIN_EMAIL")


def test_the_environment_says_where_the_servers_are_unless_a_stack_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    named = a_stack(tmp_path / "named", "mongodb://named")
    for name in URLS:
        monkeypatch.setenv(name, name.lower())
    assert Access.found() == Access("mongodb_url", "amqp_url", "management_url")
    assert Access.found(named).mongodb_url == "mongodb://named"


def test_the_stack_here_is_taken_where_nothing_is_said(tmp_path: Path) -> None:
    a_stack(tmp_path / ".run", "mongodb://here")
    assert Access.found().mongodb_url == "mongodb://here"


def test_without_anything_it_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMQP_URL", "amqp://x")
    with pytest.raises(NoAccessError, match=r"make up.*set MONGODB_URL, MANAGEMENT_URL$"):
        Access.found()


def test_passwords_in_urls_are_not_shown() -> None:
    assert "secret" not in repr(Access("mongodb://u:secret@x", "amqp://u:secret@x", "http://u:secret@x"))


def test_the_password_of_a_url_may_be_a_file_beside_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(access.SECRETS_DIR, str(tmp_path))
    for name, url in (
        ("MONGODB_URL", "mongodb://sagactl@a,b/"),
        ("AMQP_URL", "amqp://sagactl@c/"),
        ("MANAGEMENT_URL", "http://sagactl@c:15672"),
        ("MONGODB_PASSWORD", "one"),
        ("AMQP_PASSWORD", "two"),
    ):
        (tmp_path / name).write_text(url)
    assert Access.found() == Access(
        "mongodb://sagactl:one@a,b/", "amqp://sagactl:two@c/", "http://sagactl:two@c:15672"
    )
    (tmp_path / "AMQP_URL").write_text("amqp://c/")
    with pytest.raises(NoAccessError, match=r"AMQP_URL: .* names no user"):
        Access.found()
