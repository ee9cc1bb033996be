"""Commands of a container's user, who has no home, or somebody else's: nobody is logged in there."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from sagactl import kept_login
from sagactl.kept_login import KeptLogin, NoHomeError

LOGIN = KeptLogin("http://shop", "ada@shop.example", "access", "refresh", datetime(2026, 1, 1, tzinfo=UTC))


def test_a_user_without_a_home_is_not_logged_in_and_is_told_where_a_login_could_be_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def unknown() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setattr(Path, "home", unknown)
    assert kept_login.kept() is None
    with pytest.raises(NoHomeError, match="set XDG_CONFIG_HOME"):
        kept_login.keep(LOGIN)


def test_a_home_that_is_a_file_has_no_login(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (home := tmp_path / "home").touch()
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home))
    assert kept_login.kept() is None


def test_a_home_that_is_somebody_elses_has_no_login(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def forbidden(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    kept_login.keep(LOGIN)
    assert kept_login.kept() == LOGIN
    monkeypatch.setattr(Path, "stat", forbidden)
    assert kept_login.kept() is None
