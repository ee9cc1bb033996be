"""What `make up` says: each line works by itself, and what surprises is told."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from rich.text import Text

from dev.layout import Layout, readable
from dev.services import NAMES
from dev.welcome import remarks, welcome

PLAIN = "This is a placeholder for the Jaeger UI home page."


def lines_of(directory: Path, **more: object) -> list[str]:
    login = {"email": "ada@shop.example", "password": "secret"}
    stack = {
        "gateway": "http://127.0.0.1:3003",
        "admin": login,
        "customer": login,
        "orders": {"card declined": "o-1"},
    }
    (directory / "stack.json").write_text(json.dumps(stack | more))
    return [Text.from_markup(line).plain for line in welcome(directory)]


def test_every_command_names_the_stack_that_it_is_about(tmp_path: Path) -> None:
    directory = tmp_path / "my stack"
    directory.mkdir()
    commands = [line.strip() for line in lines_of(directory) if "make" in line or "sagactl" in line]
    assert len(commands) == 4
    assert all(command.startswith(f"STACK_DIR='{directory}' make ") for command in commands)


def test_of_the_usual_stack_nothing_has_to_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    usual = Path(".run")
    usual.mkdir()
    assert not [line for line in lines_of(usual) if "STACK_DIR" in line]


@contextmanager
def answering(page: str) -> Iterator[str]:
    """The address of a server that has this page."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(page.encode())

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    with HTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_a_jaeger_without_its_pages_is_said_to_have_none(tmp_path: Path) -> None:
    with answering(PLAIN) as url:
        said = "\n".join(lines_of(tmp_path, jaeger=url))
    assert "Jaeger         http" not in said
    assert "sagactl orders trace ORDER draws them" in said
    assert f"{url} is Jaeger's API alone" in said


def test_a_jaeger_with_its_pages_is_where_they_are(tmp_path: Path) -> None:
    with answering("<title>Jaeger UI</title>") as url:
        assert f"Jaeger         {url}" in lines_of(tmp_path, jaeger=url)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"LOG_LEVEL": "debug"}, "another LOG_LEVEL: STACK_DIR={} make restart SERVICE=..., or "),
        (
            {"REPLICAS_ORDER": "2"},
            "another REPLICAS_ORDER: STACK_DIR={0} make down, then STACK_DIR={0} make up",
        ),
        (
            {"PORT_GATEWAY": "9000"},
            "another PORT_GATEWAY: STACK_DIR={0} make down, then STACK_DIR={0} make up",
        ),
    ],
)
def test_what_comes_too_late_is_told_with_how_it_gets_in(
    tmp_path: Path, given: dict[str, str], says: str
) -> None:
    layout = Layout(
        NAMES,
        {"gateway": 3003},
        random_ports=False,
        settings={},
        readable=sorted(readable(NAMES)),
        environments={},
    )
    (remark,) = remarks(tmp_path, layout, given)
    assert says.format(tmp_path) in remark
    assert not list(remarks(tmp_path, layout, {"PORT_GATEWAY": "3003"}))


def test_what_a_service_was_restarted_with_is_told(tmp_path: Path) -> None:
    layout = Layout(
        NAMES,
        {},
        random_ports=False,
        settings={},
        readable=[],
        environments={"payment": {"PAYMENT_SUCCESS_RATE": "0"}},
    )
    assert list(remarks(tmp_path, layout, {})) == ["payment was restarted with PAYMENT_SUCCESS_RATE=0"]


def test_logs_of_what_is_no_order_are_refused_in_a_sentence(tmp_path: Path) -> None:
    asked = subprocess.run(  # ourselves
        [sys.executable, "-m", "dev", "logs", "--order", "nope"],
        env={"STACK_DIR": str(tmp_path), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert asked.returncode == 1
    assert asked.stdout.startswith("'nope' is no order's id, such as 0")
