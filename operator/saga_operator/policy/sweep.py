"""Carrying a sweep out: list, plan, compensate one by one."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Protocol

from saga_operator.policy.orders import OrderServiceError
from saga_operator.policy.policy import Attempt, Outcome, Policy, StaleOrder, Sweep, gives_up, plan


class Orders(Protocol):
    """What a sweep needs of the order service; both raise OrderServiceError."""

    async def stale(self, status: str, older_than: timedelta) -> list[StaleOrder]: ...

    async def compensate(self, order: StaleOrder, older_than: timedelta) -> Outcome: ...


async def carry_out(
    orders: Orders,
    policy: Policy,
    clock: Callable[[], datetime],
    *,
    failed_before: frozenset[str] = frozenset(),
    keep_on: Callable[[], bool] = lambda: True,
) -> Sweep:
    """Safe to break off anywhere, by `keep_on` or by a kill: an order that was not reached stays stale."""
    started = clock()
    try:
        found = [
            order for status, limit in policy.limits.items() for order in await orders.stale(status, limit)
        ]
    except OrderServiceError as error:
        return Sweep(started, clock(), failure=error.failure)
    planned = plan(found, policy, failed_before)
    attempts: list[Attempt] = []
    for order in planned.compensate:
        if gives_up(attempts) or not keep_on():
            break
        attempts.append(await _attempt(orders, order, policy.limits[order.status], clock))
    return Sweep(started, clock(), tuple(found), planned, tuple(attempts), gives_up(attempts))


async def _attempt(
    orders: Orders, order: StaleOrder, older_than: timedelta, clock: Callable[[], datetime]
) -> Attempt:
    try:
        outcome = await orders.compensate(order, older_than)
    except OrderServiceError as error:
        return Attempt(order, Outcome.FAILED, clock(), error.failure)
    return Attempt(order, outcome, clock())
