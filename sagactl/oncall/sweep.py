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
from sagactl.access import OrderAccess
from sagactl.exits import Exit
from sagactl.faults import UnavailableError
from sagactl.oncall.administrator import logged_in, login
from sagactl.oncall.books import reading
from sagactl.oncall.overdue import Stuck, StuckList, listed, overdue
from sagactl.oncall.status.standing import said
from sagactl.oncall.times import duration
from sagactl.output import Column, Form, Output, Shown, table
from sagactl.shop import REFUSALS, Client, ShopError
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
    _client: Client | None = None
    _until: datetime | None = None

    async def endpoint(self, now: datetime) -> Endpoint:
        """Raise OrderServiceError where the login fails."""
        if self.access.token is not None:
            return Endpoint(self.access.order_url, self.access.token)
        if self._client is None or self._until is None or now >= self._until:
            self._client = await self._logged_in()
            self._until = now + timedelta(seconds=self._client.expires_in) - _MARGIN
        return Endpoint(self.access.order_url, self._client.token)

    async def _logged_in(self) -> Client:
        try:
            async with asyncio.timeout(LOGIN_SECONDS):
                return await logged_in(self.session, self.access, self._client)
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


app = typer.Typer(
    no_args_is_help=True, help="Stuck orders: list and compensate them by the operator's policy."
)


@app.command("list")
def list_(
    stack: Stack = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most this many orders, the oldest.")] = 50,
    output: Form = Output.TABLE,
) -> None:
    """Show orders that are open for too long, and what a sweep would do with each. Only reads."""
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
def sweep(
    every: Annotated[
        str | None, typer.Option(help="Sweep forever with this pause, such as 10s. Without it: sweep once.")
    ] = None,
    stale_after: Annotated[str, typer.Option(help="CONFIRMED for this long is stale.")] = "5m",
    pending_stale_after: Annotated[
        str, typer.Option(help="PENDING for this long is stale; `never` leaves PENDING orders alone.")
    ] = "15m",
    max_per_sweep: Annotated[
        int, typer.Option("--max", min=1, max=1000, help="Compensate at most this many per sweep.")
    ] = 200,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be done.")] = False,  # noqa: FBT002 - an option
    stack: Stack = None,
) -> None:
    """Compensate stuck orders.

    Needs ORDER_URL and a login, or a token (ORDER_TOKEN).

    Exit code of a single sweep: 0: all stuck orders are compensated. 1: some could not be. 4, 5: the list of
    stuck orders could not be read. With --every it continues, whatever happens.
    """
    policy = replace(
        policy_of(stale_after, pending_stale_after), max_per_sweep=max_per_sweep, dry_run=dry_run
    )
    service = login(OrderAccess.found, stack)
    console = Console()
    if every is not None:
        run(sweep_forever(service, policy, duration(every), console))
    raise typer.Exit(exit_code(run(sweep_and_tell(service, policy, console))))


def policy_of(stale_after: str, pending_stale_after: str) -> Policy:
    """Raise BadParameter for text that is not a duration."""
    pending = None if pending_stale_after == NEVER else duration(pending_stale_after)
    return Policy(duration(stale_after), pending)


def _now() -> datetime:
    return datetime.now(UTC)
