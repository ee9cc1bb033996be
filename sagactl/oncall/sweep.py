"""`sagactl stuck`: orders that are open for too long, and their sweep by the operator's policy, where there
is no Kubernetes.

A sweep calls the order service as an administrator: with a token given, or by logging in through the gateway.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from pathlib import Path
from typing import Annotated, NoReturn

import aiohttp
import typer
from rich.console import Console

from saga_operator.policy.orders import Endpoint, OrderService, OrderServiceError
from saga_operator.policy.policy import REFUSALS as REFUSED
from saga_operator.policy.policy import Outcome, Policy, StaleOrder, Sweep, pause_after
from saga_operator.policy.summary import summary
from saga_operator.policy.sweep import carry_out
from sagactl import output as output_
from sagactl.access import LOCAL_STACK, NoAccessError, OrderAccess, setting
from sagactl.exits import Exit
from sagactl.faults import REFUSALS, UnavailableError
from sagactl.oncall.books import reading
from sagactl.oncall.overdue import Stuck, StuckList, listed, overdue
from sagactl.oncall.status.standing import said
from sagactl.oncall.times import duration
from sagactl.output import Column, Form, Output, Shown, table
from sagactl.shop import Client, ShopError
from sagactl.terminal import Stack, access, aside, run

NEVER = "never"
LOGIN_SECONDS = 10.0
_MARGIN = timedelta(seconds=60)
"""A token is renewed this long before it expires: a sweep must not outlive it."""


@dataclass
class Admin:
    """A token that is still good for a sweep, or a new one."""

    access: OrderAccess
    session: aiohttp.ClientSession
    _token: str = ""
    _until: datetime | None = None

    async def endpoint(self, now: datetime) -> Endpoint:
        """Raise OrderServiceError where the login fails."""
        if self.access.token is not None:
            return Endpoint(self.access.order_url, self.access.token)
        if self._until is None or now >= self._until:
            logged_in = await self._log_in()
            self._token = logged_in.token
            self._until = now + timedelta(seconds=logged_in.expires_in) - _MARGIN
        return Endpoint(self.access.order_url, self._token)

    async def _log_in(self) -> Client:
        visitor = Client(self.session, self.access.gateway)
        try:
            async with asyncio.timeout(LOGIN_SECONDS):
                return await visitor.log_in(self.access.email, self.access.password)
        except ShopError as error:
            refused = error.status in REFUSALS
            reason = "Unauthorized" if refused else "LoginFailed"
            raise OrderServiceError(reason, f"the login answered {error.status}") from error
        except (aiohttp.ClientError, TimeoutError) as error:
            raise OrderServiceError("LoginFailed", f"the gateway does not answer: {error!r}") from error


@asynccontextmanager
async def admin(access: OrderAccess) -> AsyncIterator[Admin]:
    async with aiohttp.ClientSession() as session:
        yield Admin(access, session)


async def compensated(access: OrderAccess, order: StaleOrder, older_than: timedelta, reason: str) -> Outcome:
    """What comes of asking the order service to compensate one order. Raises UnavailableError."""
    try:
        async with admin(access) as who:
            service = OrderService(who.session, await who.endpoint(_now()))
            return await service.compensate(order, older_than, reason)
    except OrderServiceError as error:
        raise UnavailableError(f"{error.failure.reason}: {error}") from error


async def sweep_once(admin: Admin, policy: Policy, failed_before: frozenset[str] = frozenset()) -> Sweep:
    started = _now()
    try:
        at = await admin.endpoint(started)
    except OrderServiceError as error:
        return Sweep(started, _now(), failure=error.failure)
    return await carry_out(OrderService(admin.session, at), policy, _now, failed_before=failed_before)


async def sweep_forever(access: OrderAccess, policy: Policy, every: timedelta, console: Console) -> NoReturn:
    """Sweep until cancelled; after failures wait longer, as the operator does."""
    failures, failed = 0, frozenset[str]()
    async with admin(access) as who:
        while True:
            result = await sweep_once(who, policy, failed)
            show(result, console)
            failures = 0 if result.succeeded else failures + 1
            failed = frozenset(a.order.order_id for a in result.attempts if a.outcome is Outcome.FAILED)
            await asyncio.sleep(pause_after(result, every, failures).total_seconds())


async def sweep_and_tell(access: OrderAccess, policy: Policy, console: Console) -> Sweep:
    async with admin(access) as who:
        result = await sweep_once(who, policy)
    show(result, console)
    return result


def exit_code(result: Sweep) -> Exit:
    """Who lists orders and does not compensate them is there, and something is wrong with it or them."""
    if result.succeeded:
        return Exit.FINE
    if result.failure is not None and result.failure.reason in REFUSED:
        return Exit.NOT_ALLOWED
    return Exit.UNREACHED if result.found is None else Exit.BAD


def show(result: Sweep, console: Console) -> None:
    at = result.finished.strftime("%H:%M:%S")
    for line in _lines(result):
        console.print(at, line, highlight=False, markup=False, soft_wrap=True)


def _lines(result: Sweep) -> Iterator[str]:
    if result.found is not None:
        yield summary(result)
    for order in result.plan.preview:
        yield f"would compensate {order.order_id} ({order.status})"
    for attempt in result.attempts:
        if attempt.failure is not None:
            yield f"{attempt.order.order_id}: {attempt.failure.message}"
    if result.failure is not None:
        yield f"{result.failure.reason}: {result.failure.message}"


app = typer.Typer(no_args_is_help=True, help="Orders that got stuck, as the operator takes care of them.")


@app.command("list")
def list_(
    stack: Stack = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many, the longest.")] = 50,
    output: Form = Output.TABLE,
) -> None:
    """Show orders that are open for too long, and what a sweep would do with each now. Only reads."""
    found = run(_read(access(stack).mongodb_url, limit))
    text = table(found.items, "stuck order", columns(found.at))
    output_.show(Shown(found, text, [each.order for each in found.items], found.items), output)
    if found.more and output is not Output.JSON:
        aside.print("There are more: --limit", highlight=False)


async def _read(mongodb_url: str, limit: int) -> StuckList:
    async with reading(mongodb_url) as books:
        now = await books.now()
        return listed(await overdue(books.store("order"), now, limit + 1), now, limit)


def columns(now: datetime) -> Sequence[Column[Stuck]]:
    return (
        Column("order", attrgetter("order"), whole=True),
        Column("state", attrgetter("status")),
        Column("for", lambda each: said(now - each.since)),
        Column("a sweep", attrgetter("sweep")),
        Column("since", attrgetter("since"), wide=True),
        Column("customer", attrgetter("customer"), wide=True),
    )


@app.command()
def sweep(  # noqa: PLR0913, PLR0917 - a command's options
    every: Annotated[
        str | None, typer.Option(help="Go on, with this pause, such as 10s. Else sweep once.")
    ] = None,
    stale_after: Annotated[str, typer.Option(help="CONFIRMED for this long is stale.")] = "5m",
    pending_stale_after: Annotated[
        str, typer.Option(help="PENDING for this long is stale; `never` leaves PENDING orders alone.")
    ] = "15m",
    max_per_sweep: Annotated[
        int, typer.Option("--max", min=1, max=1000, help="Compensate at most this many per sweep.")
    ] = 200,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done.")] = False,  # noqa: FBT002 - an option
    order_url: Annotated[str | None, typer.Option(envvar="ORDER_URL", help="The order service.")] = None,
    token: Annotated[str | None, typer.Option(envvar="ORDER_TOKEN", help="An administrator's token.")] = None,
    gateway: Annotated[
        str | None, typer.Option(envvar="GATEWAY_URL", help="Where to log in without one.")
    ] = None,
    email: Annotated[str | None, typer.Option(envvar="ADMIN_EMAIL")] = None,
    password: Annotated[str | None, typer.Option(envvar="ADMIN_PASSWORD")] = None,
    stack: Annotated[
        Path | None, typer.Option(help="A local stack's directory. Else what is above; else .run")
    ] = None,
) -> None:
    """Compensate orders that got stuck.

    Exit code of a single sweep: 0: all that were stuck are compensated. 1: some could not be. 4, 5: it could
    not be asked which are stuck. With --every it goes on, whatever happens.
    """
    policy = replace(
        policy_of(stale_after, pending_stale_after), max_per_sweep=max_per_sweep, dry_run=dry_run
    )
    service = _service(order_url, token, gateway, (email, password), stack)
    console = Console()
    if every is not None:
        run(sweep_forever(service, policy, duration(every), console))
    raise typer.Exit(exit_code(run(sweep_and_tell(service, policy, console))))


def _service(
    order_url: str | None,
    token: str | None,
    gateway: str | None,
    login: tuple[str | None, str | None],
    stack: Path | None,
) -> OrderAccess:
    if stack is not None or order_url is None:
        try:
            return OrderAccess.of_stack(stack or LOCAL_STACK)
        except NoAccessError as error:
            raise typer.BadParameter(f"{error}, or set ORDER_URL") from error
    email, password = login[0] or setting("ADMIN_EMAIL"), login[1] or setting("ADMIN_PASSWORD")
    if token is None and not (gateway and email and password):
        raise typer.BadParameter("give --token, or --gateway, --email and --password")
    return OrderAccess(order_url, token, gateway or "", email or "", password or "")


def policy_of(stale_after: str, pending_stale_after: str) -> Policy:
    """Raise BadParameter for text that is not a duration."""
    pending = None if pending_stale_after == NEVER else duration(pending_stale_after)
    return Policy(duration(stale_after), pending)


def _now() -> datetime:
    return datetime.now(UTC)
