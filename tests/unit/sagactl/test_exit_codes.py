"""Every command of the loaded tree ends by the same exit codes, told by its help."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, Final

import bson
import msgspec
import pytest
import typer
from aio_pika.exceptions import AMQPConnectionError, ProbableAuthenticationError
from aiormq.exceptions import ChannelAccessRefused
from pymongo.errors import OperationFailure, ServerSelectionTimeoutError
from typer.core import TyperGroup
from typer.testing import CliRunner

from sagactl.access import SECRETS_DIR, URLS, NoAccessError
from sagactl.cli import app
from sagactl.exits import Exit
from sagactl.faults import AbsentError, ForbiddenError, GatewayError, UnavailableError, fault
from sagactl.oncall.broker import BrokerError
from sagactl.oncall.jobs import record
from sagactl.oncall.jobs.job import Chosen, Job, Selector, Step, Verb
from sagactl.provision.accounts import DATABASE_USERS
from sagactl.provision.broker_rights import BROKER_USERS
from sagactl.shop import ShopError
from services.payment.gateway import GatewayRefused, GatewayUnavailable
from services.shared.database.store import Unreadable, UnreadableError
from tests.forms import document

ODD: Final = Unreadable("payments", "order-1", "Invalid enum value 'SOON'")
NOBODY: Final = "127.0.0.1:9"
# What a shell started in the background has been told to ignore it, and so have we, perhaps.
HEEDING: Final = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
# What the gateway's administrator does; each is one request after the login.
OF_THE_GATEWAY: Final[Mapping[str, Sequence[str]]] = {
    "accounts list": (),
    "accounts disable": ("ada@shop.example",),
    "accounts enable": ("ada@shop.example",),
    "accounts promote": ("ada@shop.example", "viewer"),
    "accounts demote": ("ada@shop.example",),
    "accounts log-out": ("ada@shop.example",),
    "accounts totp-reset": ("ada@shop.example",),
    "customers export": ("ada@shop.example",),
    "customers erase": ("ada@shop.example", "--yes"),
    "keys list": (),
    "login": ("--email", "ada@shop.example"),
    "whoami": (),
    "keys rotate": (),
    "keys revoke": ("1",),
    "load": ("--patience", "0"),
    "smoke": ("--patience", "0"),
}
OF_SERVERS: Final[Mapping[str, Sequence[str]]] = {
    "check": ("--wait", "0"),
    "repair": ("order-1",),
    "replay": (),
    "status": (),
    "explain": ("order-1",),
    "find": ("order-1",),
    "orders show": ("order-1",),
    "orders list": (),
    "orders watch": ("order-1",),
    "orders cancel": ("order-1", "--reason", "why", "--yes"),
    "orders refund": ("order-1", "--reason", "why", "--yes"),
    "orders compensate": ("order-1", "--reason", "why", "--yes"),
    "payments list": (),
    "payments show": ("order-1",),
    "stock show": ("lamp",),
    "stock history": ("lamp",),
    "stock restock": ("lamp", "2", "--reason", "why", "--yes"),
    "queues list": (),
    "outbox list": (),
    "mails list": (),
    "mails resend": ("mail-1", "--reason", "why", "--yes"),
    "audit": (),
    "orders trace": ("order-1",),
    "letters list": (),
    "letters groups": (),
    "letters preview": ("orders",),
    "letters show": ("orders", "message"),
    "letters discard": ("orders", "message", "--reason", "why", "--yes"),
    "letters restore": ("orders", "message", "--reason", "why", "--yes"),
    "letters redrive": ("orders",),
    "stuck list": (),
    "stuck sweep": (),
    "jobs start": ("redrive", "--all", "--reason", "why", "--yes"),
    "jobs resume": ("job-1", "--jobs", "jobs"),
    "provision rabbitmq": (
        *("--users", "users", "--admin", "admin", "--management-url", f"http://{NOBODY}"),
        *("--patience", "0.1"),
    ),
    "provision mongodb": ("--users", "users", "--admin", "admin/MONGODB_URL", "--patience", "0.1"),
    "provision backup": ("--admin", "admin/MONGODB_URL"),
    "provision restore": ("--admin", "admin/MONGODB_URL"),
}
# As much of one as is read before the database is asked.
A_BACKUP: Final = bson.encode({"format": 1, "database": "order", "collection": "orders"})
# Waits for the files that its options name, as for the servers.
BY_FILES: Final = {path for path in OF_SERVERS if path.startswith("provision ")}
# Asks nobody.
ALONE: Final = {"jobs list", "jobs show", "jobs stop", "diagram", "logout", "mails preview", "secrets"}
WHERE_IT_IS: Final = (
    *(*URLS, *URLS.values(), SECRETS_DIR, "STACK_DIR"),
    *("GATEWAY_URL", "ORDER_URL", "ORDER_TOKEN", "ADMIN_EMAIL", "ADMIN_PASSWORD", "ADMIN_CODE", "JAEGER_URL"),
)


def leaves(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:  # Typer hides its own
    if not isinstance(command, TyperGroup):
        yield " ".join(path), command
        return
    context = command.make_context(command.name, [], resilient_parsing=True)
    for name in command.list_commands(context):
        _, found, _ = command.resolve_command(context, [name])
        if found is not None and not found.hidden:
            yield from leaves(found, (*path, name))


TREE: Final = dict(leaves(typer.main.get_command(app)))


@pytest.fixture(autouse=True)
def nothing_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in WHERE_IT_IS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "250")
    monkeypatch.chdir(tmp_path)


def ends(path: str, arguments: Sequence[str], code: Exit) -> str:
    result = CliRunner().invoke(app, [*path.split(), *arguments], input=A_BACKUP)
    assert (result.exit_code, type(result.exception)) == (code, SystemExit), result.output
    return result.output


def say_where(monkeypatch: pytest.MonkeyPatch, gateway: str) -> None:
    monkeypatch.setenv("MONGODB_URL", f"mongodb://{NOBODY}")
    monkeypatch.setenv("AMQP_URL", f"amqp://{NOBODY}")
    monkeypatch.setenv("MANAGEMENT_URL", f"http://{NOBODY}")
    monkeypatch.setenv("JAEGER_URL", f"http://{NOBODY}")
    monkeypatch.setenv("ORDER_URL", f"http://{NOBODY}")
    monkeypatch.setenv("GATEWAY_URL", gateway)
    monkeypatch.setenv("ADMIN_EMAIL", "admin@shop.example")
    monkeypatch.setenv("ADMIN_PASSWORD", "secret")
    for module in ("oncall.stores", "provision.backup"):
        monkeypatch.setattr(f"sagactl.{module}.ANSWERS_WITHIN_MS", 50)


def a_job_that_was_ended(folder: Path) -> None:
    letter = Chosen("orders", "event-1", "order-1", "PAYMENT_SUCCEEDED", "failed", "no such column")
    now = datetime.now(UTC)
    job = Job(
        id="job-1", verb=Verb.REDRIVE, reason="", begun_at=now, selector=Selector(), steps=(Step(letter),)
    )
    with record.begun(folder, job):
        pass


def as_the_chart_mounts_it(folder: Path) -> None:
    """URLs of services and administrators, as files."""
    quick = "serverSelectionTimeoutMS=50"
    for user in {*DATABASE_USERS, *BROKER_USERS}:
        (folder / "users" / user).mkdir(parents=True)
        (folder / "users" / user / "MONGODB_URL").write_text(f"mongodb://{user}:pw@{NOBODY}/?{quick}")
        (folder / "users" / user / "AMQP_URL").write_text(f"amqp://{user}:pw@{NOBODY}")
    (folder / "admin").mkdir()
    for name, text in {
        "username": "root",
        "password": "pw",
        "MONGODB_URL": f"mongodb://root:pw@{NOBODY}/?{quick}",
    }.items():
        (folder / "admin" / name).write_text(text)


def test_no_command_is_forgotten_here() -> None:
    assert {*OF_THE_GATEWAY, *OF_SERVERS, *ALONE} == set(TREE)


@pytest.mark.parametrize("path", TREE)
def test_help_tells_what_exit_codes_mean(path: str) -> None:
    told = CliRunner().invoke(app, [*path.split(), "--help"]).output
    assert all(f"{code.value}: {code.means}" in " ".join(told.split()) for code in Exit)


@pytest.mark.parametrize("path", sorted(path for path in TREE if path not in ALONE | BY_FILES))
def test_a_command_that_is_not_told_where_the_shop_is_ends_with_2(path: str) -> None:
    ends(path, {**OF_THE_GATEWAY, **OF_SERVERS}[path], Exit.USAGE)


@pytest.mark.parametrize("path", TREE)
def test_a_command_that_is_not_understood_ends_with_2(path: str) -> None:
    ends(path, ["--no-such-option"], Exit.USAGE)


@pytest.mark.parametrize("path", sorted({*OF_THE_GATEWAY, *OF_SERVERS}))
def test_a_server_that_does_not_answer_ends_a_command_with_4_and_a_sentence(
    path: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    say_where(monkeypatch, f"http://{NOBODY}")
    as_the_chart_mounts_it(tmp_path)
    a_job_that_was_ended(tmp_path / "jobs")
    told = ends(path, {**OF_THE_GATEWAY, **OF_SERVERS}[path], Exit.UNREACHED)
    assert "Traceback" not in told
    assert told.strip()


class Refusing(BaseHTTPRequestHandler):
    """A gateway that lets nobody in."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(401)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


@pytest.fixture(scope="module")
def refusing() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Refusing) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("path", [*OF_THE_GATEWAY, "stuck sweep"])
def test_a_login_that_is_refused_ends_a_command_with_5(
    path: str, monkeypatch: pytest.MonkeyPatch, refusing: str
) -> None:
    say_where(monkeypatch, refusing)
    assert "401" in ends(path, OF_THE_GATEWAY.get(path, ()), Exit.NOT_ALLOWED)


def caused(error: Exception, by: Exception) -> Exception:
    error.__cause__ = by
    return error


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (AbsentError("no such account"), Exit.BAD),
        (ShopError(409, "it is paid already"), Exit.BAD),
        (NoAccessError("set MONGODB_URL"), Exit.USAGE),
        (FileNotFoundError(2, "No such file or directory", "orders.txt"), Exit.USAGE),
        (ServerSelectionTimeoutError("nobody"), Exit.UNREACHED),
        (AMQPConnectionError("nobody"), Exit.UNREACHED),
        (BrokerError("it answered 500"), Exit.UNREACHED),
        (GatewayError("in time"), Exit.UNREACHED),
        (GatewayUnavailable("503"), Exit.UNREACHED),
        (GatewayRefused("No such payment_intent: 'txn_1'"), Exit.BAD),
        (UnavailableError("Jaeger"), Exit.UNREACHED),
        (ShopError(503, "no room"), Exit.UNREACHED),
        (ShopError(429, "not so often"), Exit.UNREACHED),
        (TimeoutError(), Exit.UNREACHED),
        (msgspec.ValidationError("a document of another release"), Exit.UNREACHED),
        (UnreadableError(ODD), Exit.UNREACHED),
        (OperationFailure("Authentication failed", 18), Exit.NOT_ALLOWED),
        (OperationFailure("not authorized on order", 13), Exit.NOT_ALLOWED),
        (OperationFailure("no such index", 27), Exit.UNREACHED),
        (ProbableAuthenticationError("wrong password"), Exit.NOT_ALLOWED),
        (caused(BrokerError("refused"), ChannelAccessRefused("no access")), Exit.NOT_ALLOWED),
        (ForbiddenError("the management API refuses: 401"), Exit.NOT_ALLOWED),
        (ShopError(403, "not an administrator"), Exit.NOT_ALLOWED),
    ],
    ids=repr,
)
def test_what_goes_wrong_comes_to_one_code(error: Exception, code: Exit) -> None:
    found = fault(error)
    assert found is not None
    assert found.code is code
    assert found.says


def test_a_document_that_cannot_be_read_is_named_with_what_to_do() -> None:
    found = fault(UnreadableError(ODD))
    assert found is not None
    assert found.says == "payments/order-1 is not as this release writes it: Invalid enum value 'SOON'"
    assert "newer release" in found.hint
    assert "URL" not in found.hint


def test_a_fault_of_our_own_keeps_its_traceback() -> None:
    assert fault(KeyError("orderId")) is None


def test_what_is_no_backup_is_not_restored(tmp_path: Path) -> None:
    as_the_chart_mounts_it(tmp_path)
    result = CliRunner().invoke(app, ["provision", "restore", "--admin", "admin/MONGODB_URL"], input=b"")
    assert (result.exit_code, "it does not begin as a backup" in result.output) == (Exit.BAD, True)


def test_a_file_that_is_not_there_is_told_and_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    say_where(monkeypatch, f"http://{NOBODY}")
    assert "nowhere.txt" in ends("check", ["--accepted", "nowhere.txt"], Exit.USAGE)


def test_a_server_that_does_not_answer_is_told_once_and_not_by_its_client_as_well(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    say_where(monkeypatch, f"http://{NOBODY}")
    command = [
        sys.executable,
        "-c",
        "from sagactl.cli import app; app(prog_name='sagactl')",
        "letters",
        "list",
    ]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  # our own
    assert (ended.returncode, ended.stdout) == (Exit.UNREACHED, "")
    said, hint = ended.stderr.splitlines()
    assert said.startswith("RabbitMQ does not answer")
    assert "AMQP_URL" in hint


def test_whoever_is_interrupted_ends_with_130(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-c",
        f"{HEEDING}; from sagactl.cli import app; app(prog_name='sagactl')",
        "stuck",
        "sweep",
    ]
    where = {"ORDER_URL": f"http://{NOBODY}", "ORDER_TOKEN": "t"}
    with subprocess.Popen(  # noqa: S603  # our own
        [*command, "--every", "1h"], stdout=subprocess.PIPE, text=True, cwd=tmp_path, env=os.environ | where
    ) as process:
        try:
            assert process.stdout is not None
            assert "ConnectionFailed" in process.stdout.readline()
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == Exit.INTERRUPTED
        finally:
            process.kill()


def test_status_looks_again_and_again_until_it_is_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    say_where(monkeypatch, f"http://{NOBODY}")
    quick = "from sagactl.oncall import stores; stores.ANSWERS_WITHIN_MS = 50"
    code = f"{HEEDING}; {quick}; from sagactl.cli import app; app(prog_name='sagactl')"
    command = [sys.executable, "-c", code, "status", "--watch", "-o", "jsonl"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603  # our own
        try:
            assert process.stdout is not None
            for _ in range(2):
                assert document(process.stdout.readline())["queues"] is None
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == Exit.INTERRUPTED
        finally:
            process.kill()


def test_the_page_names_every_code() -> None:
    page = (Path(__file__).parents[3] / "docs" / "sagactl.md").read_text()
    for code in Exit:
        assert f"| {code.value} | {code.means} |" in page
