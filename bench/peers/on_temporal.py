"""The order saga on Temporal: a workflow, and activities that may be carried out more than once."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

from temporalio import activity, workflow
from temporalio.exceptions import ActivityError, ApplicationError

with workflow.unsafe.imports_passed_through():
    from sqlalchemy import Engine
    from sqlalchemy.orm import Session

    from bench.peers import store

TASK_QUEUE: Final = "orders"
ANSWERS_WITHIN: Final = timedelta(seconds=30)
Step = Callable[..., Awaitable[Any]]


@dataclass
class Placed:
    """What was ordered: what the workflow begins with."""

    lines: list[store.Line]
    token: str
    # In ISO 8601: in a workflow's sandbox a datetime is no datetime.
    created_at: str


@dataclass
class OfOrder:
    order_id: str
    lines: list[store.Line]


@dataclass
class ToCreate(OfOrder):
    created_at: str


@dataclass
class ToCharge:
    order_id: str
    amount: int
    token: str


@dataclass
class ToTell:
    order_id: str
    kind: str


class Activities:
    """Synchronous, as Temporal's guide advises for a driver that blocks: they run in a pool of threads."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @activity.defn
    def create(self, order: ToCreate) -> int:
        with Session(self._engine) as session, session.begin():
            return store.create(
                session, order.order_id, order.lines, datetime.fromisoformat(order.created_at)
            )

    @activity.defn
    def reserve(self, order: OfOrder) -> None:
        try:
            with Session(self._engine) as session, session.begin():
                store.reserve(session, order.order_id, order.lines)
        except store.OutOfStockError as error:
            # Another try would find no more.
            raise ApplicationError(str(error), type="OutOfStock", non_retryable=True) from error

    @activity.defn
    def charge(self, payment: ToCharge) -> bool:
        with Session(self._engine) as session, session.begin():
            return store.charge(session, payment.order_id, payment.amount, payment.token)

    @activity.defn
    def pay(self, order: OfOrder) -> None:
        with Session(self._engine) as session, session.begin():
            store.pay(session, order.order_id, order.lines)

    @activity.defn
    def release(self, order: OfOrder) -> None:
        with Session(self._engine) as session, session.begin():
            store.release(session, order.order_id, order.lines)

    @activity.defn
    def cancel(self, order: OfOrder) -> None:
        with Session(self._engine) as session, session.begin():
            store.cancel(session, order.order_id)

    @activity.defn
    def notify(self, notification: ToTell) -> None:
        with Session(self._engine) as session, session.begin():
            store.notify(session, notification.order_id, notification.kind)

    @property
    def all(self) -> list[Callable[..., Any]]:
        return [self.create, self.reserve, self.charge, self.pay, self.release, self.cancel, self.notify]


async def checkout(step: Step, placed: Placed) -> str:
    """The saga, with its steps carried out as `step` does."""
    order_id = workflow.info().workflow_id
    order = OfOrder(order_id, placed.lines)
    total = await step(Activities.create, ToCreate(order_id, placed.lines, placed.created_at))
    try:
        await step(Activities.reserve, order)
    except ActivityError:
        await step(Activities.cancel, order)
        await step(Activities.notify, ToTell(order_id, "ORDER_CANCELLED"))
        return "CANCELLED"
    if not await step(Activities.charge, ToCharge(order_id, total, placed.token)):
        await step(Activities.release, order)
        await step(Activities.notify, ToTell(order_id, "ORDER_CANCELLED"))
        return "CANCELLED"
    await step(Activities.pay, order)
    await step(Activities.notify, ToTell(order_id, "ORDER_PAID"))
    return "PAID"


@workflow.defn
class Checkout:
    @workflow.run
    async def run(self, placed: Placed) -> str:
        step = partial(workflow.execute_activity_method, start_to_close_timeout=ANSWERS_WITHIN)
        return await checkout(step, placed)


@workflow.defn
class CheckoutLocally:
    """With local activities: the worker that has the workflow carries them out, and tells the server of all
    at once.
    """

    @workflow.run
    async def run(self, placed: Placed) -> str:
        step = partial(workflow.execute_local_activity_method, start_to_close_timeout=ANSWERS_WITHIN)
        return await checkout(step, placed)
