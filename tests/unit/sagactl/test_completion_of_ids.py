"""Ids are completed from what is kept for half a minute; where nobody can tell, a shell offers nothing."""

import json
import os
import time
from pathlib import Path
from typing import Final

import pytest
from typer.testing import CliRunner

from sagactl.access import SECRETS_DIR, URLS, Access
from sagactl.cli import app
from sagactl.oncall.completion import KEPT_SECONDS, _kept_at

NOBODY: Final = "127.0.0.1:9"
WHERE: Final = {
    "MONGODB_URL": f"mongodb://sagactl:secret@{NOBODY}",
    "AMQP_URL": f"amqp://{NOBODY}",
    "MANAGEMENT_URL": f"http://{NOBODY}",
}


@pytest.fixture(autouse=True)
def nothing_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in (*URLS, *URLS.values(), SECRETS_DIR, "STACK_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)


def completed(typed: str, **where: str) -> list[str]:
    """By the protocol that the shells' own scripts speak."""
    words = {
        "_SAGACTL_COMPLETE": "complete_bash",
        "COMP_WORDS": typed,
        "COMP_CWORD": str(len(typed.split(" ")) - 1),
    }
    told = CliRunner().invoke(app, [], prog_name="sagactl", env=words | where)
    assert (told.exit_code, told.stderr) == (0, "")
    return told.stdout.split()


def keep(kind: str, *ids: str, seconds_ago: float = 0) -> Path:
    kept = _kept_at(kind, Access(*WHERE.values()))
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_text(json.dumps(ids))
    at = time.time() - seconds_ago
    os.utime(kept, (at, at))
    return kept


@pytest.mark.parametrize(
    ("typed", "kind"),
    [
        ("sagactl explain 01", "orders"),
        ("sagactl orders show 01", "orders"),
        ("sagactl orders watch 01", "orders"),
        ("sagactl repair 01", "orders"),
        ("sagactl stock show 01", "products"),
        ("sagactl mails resend 01", "mails"),
    ],
)
def test_what_is_kept_is_offered_where_it_begins_so(typed: str, kind: str) -> None:
    kept = keep(kind, "01a0-1", "02b0-2", "01a0-3")
    assert completed(typed, **WHERE) == ["01a0-1", "01a0-3"]
    assert "secret" not in kept.name


def test_the_shop_is_the_one_that_is_named(tmp_path: Path) -> None:
    keep("orders", "01a0-1")
    where = dict(zip(("mongodbUrl", "amqpUrl", "managementUrl"), WHERE.values(), strict=True))
    (tmp_path / "stack.json").write_text(json.dumps({"checker": where}))
    assert completed("sagactl explain 01", STACK_DIR=str(tmp_path)) == ["01a0-1"]
    assert completed(f"sagactl explain --stack {tmp_path} 01") == ["01a0-1"]


def test_jobs_are_completed_by_their_records(tmp_path: Path) -> None:
    (tmp_path / "20261126T120000Z-ab.jsonl").write_bytes(b"")
    assert completed("sagactl jobs resume 2026", SAGACTL_JOBS=str(tmp_path)) == ["20261126T120000Z-ab"]
    assert completed(f"sagactl jobs show --jobs {tmp_path} 2026") == ["20261126T120000Z-ab"]


def test_what_is_outdated_is_asked_for_again_and_nobody_answers_without_a_word() -> None:
    keep("orders", "01a0-1", seconds_ago=KEPT_SECONDS + 60)
    assert completed("sagactl explain 01", **WHERE) == []


def test_whoever_does_not_say_where_the_shop_is_is_offered_nothing() -> None:
    assert completed("sagactl explain 01") == []
