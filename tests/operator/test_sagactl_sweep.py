"""`sagactl stuck sweep`: the same policy from the command line, against a gateway and an order service."""

import asyncio
import inspect
from contextlib import AsyncExitStack
from datetime import timedelta
from io import StringIO
from pathlib import Path

import pytest
import typer
import yaml
from aiohttp import web
from rich.console import Console
from typer.testing import CliRunner

from saga_operator.policy.policy import Policy
from sagactl.access import OrderAccess
from sagactl.exits import Exit
from sagactl.oncall.sweep import admin, exit_code, policy_of, sweep, sweep_and_tell, sweep_forever, sweep_once
from tests.operator.order_service import TOKEN, FakeOrderService

ROOT = Path(__file__).parents[2]
POLICY = Policy(stale_after=timedelta(minutes=5))
app = typer.Typer()
app.command()(sweep)


class Gateway:
    def __init__(self, lifetime: int = 900) -> None:
        self.lifetime = lifetime
        self.logins = self.renewals = 0
        # The login: its refresh token is refused then.
        self.has_ended = False
        self.url = ""

    async def start(self, stack: AsyncExitStack) -> "Gateway":
        app = web.Application()
        app.router.add_post("/auth/login", self._log_in)
        app.router.add_post("/auth/refresh", self._refresh)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        return self

    async def _log_in(self, request: web.Request) -> web.Response:
        self.logins += 1
        if (await request.json())["password"] != "right":
            raise web.HTTPUnauthorized
        return self._tokens()

    async def _refresh(self, request: web.Request) -> web.Response:
        assert (await request.json())["refreshToken"] == "r"
        self.renewals += 1
        if self.has_ended:
            raise web.HTTPUnauthorized
        return self._tokens()

    def _tokens(self) -> web.Response:
        return web.json_response({"accessToken": TOKEN, "refreshToken": "r", "expiresIn": self.lifetime})


def access(service: FakeOrderService, gateway: Gateway, *, password: str) -> OrderAccess:
    return OrderAccess(service.url, None, gateway.url, "admin@shop", password)


async def test_it_logs_in_compensates_and_tells(
    order_service: FakeOrderService, stack: AsyncExitStack
) -> None:
    order_service.add_stale(3)
    gateway, out = await Gateway().start(stack), StringIO()
    done = await sweep_and_tell(
        access(order_service, gateway, password="right"), POLICY, Console(file=out, width=200)
    )
    assert exit_code(done) is Exit.FINE
    assert len(order_service.compensated) == 3
    assert "3 stale (3 CONFIRMED)" in out.getvalue()
    assert "3 compensated, 0 deferred" in out.getvalue()


async def test_a_dry_run_names_what_it_would_do_and_a_failure_what_went_wrong(
    order_service: FakeOrderService,
) -> None:
    order_service.add_stale(2)
    order_service.failing = lambda path: "confirmed-0001/" in path
    out, who = StringIO(), OrderAccess(order_service.url, TOKEN)
    dry = Policy(stale_after=timedelta(minutes=5), dry_run=True)
    assert exit_code(await sweep_and_tell(who, dry, Console(file=out))) is Exit.FINE
    assert "would compensate confirmed-0000 (CONFIRMED)" in out.getvalue()
    assert order_service.asked == []
    assert exit_code(await sweep_and_tell(who, POLICY, Console(file=out))) is Exit.BAD
    assert "confirmed-0001: POST /internal/orders/confirmed-0001/compensate answered 500" in out.getvalue()


async def test_a_token_is_kept_while_it_lives_and_renewed_before_it_expires(
    order_service: FakeOrderService, stack: AsyncExitStack
) -> None:
    lasting, short = await Gateway().start(stack), await Gateway(lifetime=30).start(stack)
    for gateway, renewals in ((lasting, 0), (short, 2)):
        async with admin(access(order_service, gateway, password="right")) as who:
            for _ in range(3):
                assert (await sweep_once(who, POLICY)).succeeded
        assert (gateway.logins, gateway.renewals) == (1, renewals)


async def test_whose_login_was_ended_logs_in_anew(
    order_service: FakeOrderService, stack: AsyncExitStack
) -> None:
    gateway = await Gateway(lifetime=30).start(stack)
    async with admin(access(order_service, gateway, password="right")) as who:
        assert (await sweep_once(who, POLICY)).succeeded
        gateway.has_ended = True
        assert (await sweep_once(who, POLICY)).succeeded
    assert gateway.logins == 2


async def test_a_refused_login_is_a_failed_sweep(
    order_service: FakeOrderService, stack: AsyncExitStack
) -> None:
    gateway, out = await Gateway().start(stack), StringIO()
    wrong = access(order_service, gateway, password="wrong")
    done = await sweep_and_tell(wrong, POLICY, Console(file=out, width=200))
    assert exit_code(done) is Exit.NOT_ALLOWED
    assert "Unauthorized: the login answered 401" in out.getvalue()
    assert "wrong" not in repr(wrong)


async def test_it_goes_on_through_failures_until_it_is_stopped(order_service: FakeOrderService) -> None:
    order_service.add_stale(2)
    order_service.failing = lambda _: order_service.listings < 0
    every, out = timedelta(milliseconds=50), StringIO()
    task = asyncio.create_task(
        sweep_forever(OrderAccess(order_service.url, TOKEN), POLICY, every, Console(file=out, width=200))
    )
    async with asyncio.timeout(60):
        while order_service.listings < 3:
            await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(order_service.compensated) == 2


async def test_a_long_list_is_worked_off_without_waiting_for_the_next_time(
    order_service: FakeOrderService,
) -> None:
    order_service.add_stale(6)
    few, hourly = Policy(stale_after=timedelta(minutes=5), max_per_sweep=2), timedelta(hours=1)
    task = asyncio.create_task(
        sweep_forever(OrderAccess(order_service.url, TOKEN), few, hourly, Console(file=StringIO()))
    )
    async with asyncio.timeout(60):
        while len(order_service.compensated) < 6:
            await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_pending_orders_are_swept_as_the_operators_chart_does() -> None:
    """An order whose request to reserve was dead-lettered is PENDING: nobody else ends it."""
    chart = yaml.safe_load((ROOT / "charts/saga-operator/values.yaml").read_text())["monitor"]["spec"]
    command = inspect.signature(sweep).parameters
    assert command["stale_after"].default == chart["staleAfter"]
    assert command["pending_stale_after"].default == chart["pendingStaleAfter"]
    assert command["max_per_sweep"].default == chart["maxPerSweep"]


def test_pending_orders_can_be_left_alone() -> None:
    assert policy_of("5m", "15m").limits == {
        "CONFIRMED": timedelta(minutes=5),
        "PENDING": timedelta(minutes=15),
    }
    assert policy_of("5m", "never").limits == {"CONFIRMED": timedelta(minutes=5)}


@pytest.mark.parametrize(
    ("arguments", "given", "said"),
    [
        ([], {"ORDER_URL": "http://o"}, "set ORDER_URL, and ORDER_TOKEN or"),
        (["--stack", "nowhere"], {}, "no stack runs in nowhere"),
        (["--stale-after", "soon"], {"ORDER_URL": "http://o", "ORDER_TOKEN": "t"}, "soon: give a duration"),
    ],
)
def test_what_is_missing_or_wrong_is_said(
    arguments: list[str],
    given: dict[str, str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, arguments, env={"COLUMNS": "300", **given})
    assert result.exit_code == 2
    assert said in result.output


def test_a_single_sweep_that_reaches_nobody_exits_with_four() -> None:
    result = CliRunner().invoke(app, env={"ORDER_URL": "http://127.0.0.1:1", "ORDER_TOKEN": "t"})
    assert result.exit_code == Exit.UNREACHED
    assert "ConnectionFailed" in result.output


def test_a_local_stack_says_where_everything_is(tmp_path: Path) -> None:
    (tmp_path / "stack.json").write_text(
        '{"gateway": "http://g", "services": {"order": "http://o"}, "admin": {"email": "e", "password": "p"}}'
    )
    assert OrderAccess.of_stack(tmp_path) == OrderAccess("http://o", None, "http://g", "e", "p")


def test_a_mounted_secret_says_who_logs_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in {"ADMIN_EMAIL": "admin@shop", "ADMIN_PASSWORD": "right\n"}.items():
        (tmp_path / name).write_text(value)
    where = {"ORDER_URL": "http://127.0.0.1:1", "GATEWAY_URL": "http://127.0.0.1:1"}
    without = CliRunner().invoke(app, env=where)
    assert without.exit_code == 2
    found = CliRunner().invoke(app, env=where | {"SECRETS_DIR": str(tmp_path)})
    assert found.exit_code == Exit.UNREACHED
    assert "the gateway does not answer" in found.output
