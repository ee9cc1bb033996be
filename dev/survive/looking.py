"""What there is to see of the shop from outside once a fault is over: orders, findings, processes."""

import asyncio
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final

from dev.survive.attempts import Outcome, number_of
from dev.survive.site import Site
from dev.survive.verdict import SETTLED_WITHIN_SECONDS, Evidence, Failure, Seen, without_rubbish
from sagactl.access import Access
from sagactl.oncall.check import Expected, check
from sagactl.oncall.invariants import Finding, Invariant
from sagactl.polling import NotInTimeError, until
from sagactl.shop import ShopError

OPEN: Final = ("PENDING", "CONFIRMED", "REFUNDING")
PAGE: Final = 100
POLL_SECONDS: Final = 0.5
# What is not at rest so long after the time that is granted will not come to rest.
REST_SECONDS: Final = 10.0
# Reading all books.
CHECKED_WITHIN_SECONDS: Final = 60.0


async def look(site: Site, fault_ended_at: datetime, before: int = 0) -> Evidence:
    """Waits until an order is taken again and all are settled, or until they have had all the time that is
    granted. `before`: how many attempts there had been before all this.
    """
    deadline = fault_ended_at + timedelta(seconds=SETTLED_WITHIN_SECONDS)
    taken = partial(_takes_another, site)
    await site.until(taken, within=_seconds_to(deadline), what="an order is taken again")
    await _until_settled(site, deadline)
    try:
        orders = await _orders(site)
    except ShopError as error:  # where a service is dead by now, that is what there is to be told
        orders = []
        site.remarks.append(Failure(f"the shop does not tell its orders: {error}"))
    findings = await _findings(site, max(REST_SECONDS, _seconds_to(deadline)))
    ours = {
        *site.products,
        *(order.id for order in orders),
        *(attempt.order_id for attempt in site.traffic.accepted),
    }
    return Evidence(
        site.traffic.attempts,
        orders,
        fault_ended_at,
        without_rubbish(findings, ours) if site.threw_rubbish else findings,
        dict(_ended(site)),
        site.remarks,
        before,
    )


def _seconds_to(deadline: datetime) -> float:
    return (deadline - datetime.now(UTC)).total_seconds()


async def _takes_another(site: Site) -> bool:
    await site.traffic.burst(1, customers=1)
    return site.traffic.attempts[-1].outcome is Outcome.ACCEPTED


async def _until_settled(site: Site, deadline: datetime) -> None:
    settled = partial(_all_are_settled, site)
    with suppress(NotInTimeError):  # the verdict says which are not settled
        await until(settled, within=_seconds_to(deadline), what="all is settled", every=POLL_SECONDS)


async def _all_are_settled(site: Site) -> bool:
    """As far as the newest of each status tell: a cancelled order is settled only when its stock is back."""
    try:
        pages = await asyncio.gather(*(_page(site, {"status": status, "limit": 1}) for status in OPEN))
        cancelled = await _page(site, {"status": "CANCELLED", "limit": PAGE})
    except ShopError:
        return False
    return not any(page["items"] for page in pages) and all(each["settled"] for each in cancelled["items"])


async def _page(site: Site, query: Mapping[str, Any]) -> dict[str, Any]:
    parameters = "&".join(f"{name}={value}" for name, value in query.items())
    return await site.admin.call("GET", f"/api/orders?{parameters}")


async def _orders(site: Site) -> list[Seen]:
    """All that there are, by everybody."""
    orders: list[Seen] = []
    query: dict[str, Any] = {"limit": PAGE}
    while True:
        page = await _page(site, query)
        orders += map(_seen, page["items"])
        if not page["nextCursor"]:
            return orders
        query["cursor"] = page["nextCursor"]


def _seen(order: Mapping[str, Any]) -> Seen:
    lines: Sequence[Mapping[str, Any]] = order["products"]
    changed_at = datetime.fromisoformat(order["updatedAt"])
    return Seen(order["orderId"], number_of(lines), order["status"], order["settled"], changed_at)


async def _findings(site: Site, rest_seconds: float) -> list[Finding]:
    accepted: Collection[str] = [attempt.order_id for attempt in site.traffic.accepted]
    access = Access.of_stack(site.stack.directory)
    try:
        async with asyncio.timeout(rest_seconds + CHECKED_WITHIN_SECONDS):
            report = await check(access, Expected(accepted=accepted), wait_seconds=rest_seconds)
    except Exception as error:  # noqa: BLE001  # whatever it trips over is a finding of its own
        return [Finding(Invariant.DRAINED, "the checker broke off", f"{type(error).__name__}: {error}")]
    return list(report.findings)


def _ended(site: Site) -> Iterator[tuple[str, str]]:
    for replica in site.stack.replicas:
        if replica.name not in site.stack.processes:
            yield replica.name, site.last_words(replica.name)
