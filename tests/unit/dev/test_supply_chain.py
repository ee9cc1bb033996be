"""What images are made of, what is known against it, and keys that somebody left in a file."""

import json
import re
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from dev import supply_chain
from dev.helm import ROOT
from tests.unit.dev.stages import groups

ADVISORY = {
    "schema_version": "1.6.0",
    "id": "GHSA-0000-0000-0000",
    "modified": "2026-01-01T00:00:00Z",
    "published": "2026-01-01T00:00:00Z",
    "summary": "requests can be made to hang",
    "details": "",
    "affected": [
        {
            "package": {"ecosystem": "PyPI", "name": "aiohttp"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "99.0"}]}],
        }
    ],
}


class Database(BaseHTTPRequestHandler):
    """As OSV answers: what it knows of `faulty`, and of every other package nothing."""

    faulty = ""

    def do_POST(self) -> None:
        queries = json.loads(self.rfile.read(int(self.headers["content-length"])))["queries"]
        known = {"vulns": [{"id": ADVISORY["id"], "modified": ADVISORY["modified"]}]}
        self._answer(
            {"results": [known if each["package"]["name"] == self.faulty else {} for each in queries]}
        )

    def do_GET(self) -> None:
        self._answer(ADVISORY)

    def _answer(self, document: dict[str, Any]) -> None:
        body = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def database() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Database) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def test_a_package_with_a_known_fault_is_named_with_the_release_that_mends_it(
    database: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Database, "faulty", "aiohttp")
    assert supply_chain.advisories(database) == supply_chain.FOUND
    said = capsys.readouterr().out
    assert "aiohttp" in said
    assert "Fixed in: 99.0" in said


def test_that_nothing_is_known_is_told_apart_from_that_nobody_was_asked(
    database: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert supply_chain.advisories(database) == 0
    assert "no known vulnerabilities" in capsys.readouterr().out
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    assert supply_chain.advisories("http://127.0.0.1:9/") == supply_chain.NOT_ASKED
    assert "http://127.0.0.1:9/ cannot be reached, so nothing is known" in capsys.readouterr().out


def test_each_image_has_a_bill_of_what_it_is_made_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(supply_chain, "SBOMS", tmp_path)
    assert supply_chain.sbom() == 0
    assert "order.cdx.json" in capsys.readouterr().out
    parts = {}
    for image in supply_chain.IMAGES:
        bill = json.loads((tmp_path / f"{image}.cdx.json").read_text())
        assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.5")
        for part in bill["components"]:
            assert part["purl"].startswith(f"pkg:pypi/{part['name']}@{part['version']}")
            algorithms = {digest["alg"] for link in part["externalReferences"] for digest in link["hashes"]}
            assert algorithms == {"SHA-256"}
        parts[image] = {part["name"] for part in bill["components"]}
    assert "pymongo" in parts["inventory"]
    assert {image for image, names in parts.items() if "kubernetes" in names} == {"order", "operator"}
    assert {image for image, names in parts.items() if "argon2-cffi" in names} == {"auth"}
    assert not any("pytest" in names for names in parts.values())


def test_the_bills_are_of_the_images_that_there_are_with_the_groups_that_they_have() -> None:
    assert groups((ROOT / "Dockerfile").read_text()) == supply_chain.IMAGES


def test_images_install_what_has_a_hash_and_nothing_else() -> None:
    text = (ROOT / "Dockerfile").read_text()
    assert re.findall(r"pip install(?!.* --require-hashes)", text) == []
    assert re.findall(r"uv sync(?! --locked)", text) == []
    assert "--require-hashes" in (ROOT / "dev/setup.sh").read_text()


PLANTED = {
    "a private key": "-----BEGIN RSA PRIVATE" + " KEY-----\nMIIB\n",
    "a cloud's key": 'key = "AKIA' + "IOSFODNN7" + 'EXAMPLQ"\n',
    "a token of a forge": 'token = "ghp_' + "a1B2" * 9 + '"\n',
}


@pytest.mark.parametrize("kind", PLANTED)
def test_a_key_in_a_file_is_found(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "settings.py"
    file.write_text(f"# what somebody forgot\n{PLANTED[kind]}")
    assert supply_chain.secrets([str(file)]) == 1
    assert "settings.py" in capsys.readouterr().out


def test_what_is_looked_at_is_the_repository() -> None:
    files = supply_chain.tracked()
    assert {"Dockerfile", "services/auth/keys.py", "dev/supply_chain.py"} <= {*files}
    assert "uv.lock" not in files


@pytest.mark.parametrize("arguments", [[], ["everything"], ["sbom", "secrets"]])
def test_what_it_cannot_do_is_told_with_what_it_can(arguments: list[str]) -> None:
    with pytest.raises(SystemExit, match="give one of advisories, secrets, sbom"):
        supply_chain.main(arguments)
