"""Plans are carried out: each step is recorded before it is taken."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

import aio_pika

from saga_operator.policy.orders import REASON
from saga_operator.policy.policy import StaleOrder
from sagactl.access import Access, NoAccessError, OrderAccess
from sagactl.oncall import broker, trails
from sagactl.oncall.books import reading
from sagactl.oncall.live.checking import check_live
from sagactl.oncall.live.judging import STILL, touched_at
from sagactl.oncall.live.looking import AT_ONCE
from sagactl.oncall.redrive import redrive
from sagactl.oncall.repair.looking import plans_in
from sagactl.oncall.repair.plan import Compensate, Ends, Plan, Redrive, SendAgain
from sagactl.oncall.sweep import compensated
from sagactl.polling import NotInTimeError, until
from sagactl.wording import plural
from services.shared.contract import topology
from services.shared.contract.audit import Action
from services.shared.contract.events import SCHEMA_VERSION
from services.shared.engine import envelope

# What a plan brings about takes as long as an order does; a message that is early is tried again after 10 s.
MENDED_WITHIN_SECONDS: Final = 30.0
LOOK_SECONDS: Final = 1.0


class Mender(NamedTuple):
    """Who carries plans out, with what rights, and why."""

    access: Access
    orders: OrderAccess | None
    reason: str


async def found_wrong(access: Access) -> tuple[Sequence[str], Sequence[str]]:
    """By a live check: the ids of orders, and in words what is wrong of anything else.

    Those in doubt are among them: where queues are always busy, one look sees what another does not, and what
    is made of them says so.
    """
    report = await check_live(access)
    subjects = sorted({*report.in_doubt, *(each.subject for each in report.findings)})
    async with reading(access.mongodb_url) as books:
        cases = await books.cases_of(subjects)
        orders = {case.id for case in cases if case.unreadable or touched_at(case) is not None}
    others = [f"{each.subject}: {each.what}" for each in report.findings if each.subject not in orders]
    return sorted(orders), others


async def carry_out(found: Plan, mender: Mender) -> None:
    """All steps of a plan. Carried out twice it is as carried out once: messages have ids, which their
    consumers remember, and the order service compensates what is as it was, and nothing else.

    Raises AMQPError, OSError, PyMongoError or UnavailableError, and leaves the other steps alone then.
    """
    for step in found.steps:
        await trails.ask(
            mender.access.mongodb_url, Action.ORDER_REPAIRED, found.order, step.says, mender.reason
        )
        match step:
            case SendAgain():
                await _send(mender.access.amqp_url, found.order, step)
            case Redrive():
                await redrive(mender.access.amqp_url, step.queue, frozenset({step.id}))
            case Compensate():
                await _compensate(mender.orders, found.order, step)


async def _send(amqp_url: str, order_id: str, step: SendAgain) -> None:
    """By the way of retries, which leads to this one queue."""
    message = aio_pika.Message(
        step.body.encode(),
        headers={
            envelope.SCHEMA_VERSION: SCHEMA_VERSION,
            envelope.REDRIVEN: datetime.now(UTC).isoformat(),
        },
        content_type="application/json",
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        message_id=step.id,
        correlation_id=order_id,
        timestamp=datetime.now(UTC),
        type=step.type,
    )
    exchange_name = topology.retry_exchange(broker.QUEUES[step.queue])
    async with broker.channel(amqp_url) as channel:
        exchange = await channel.get_exchange(exchange_name, ensure=False)
        await exchange.publish(message, step.queue, mandatory=True, timeout=broker.TIMEOUT)


async def _compensate(orders: OrderAccess | None, order_id: str, step: Compensate) -> None:
    if orders is None:
        raise NoAccessError("to compensate an order, the order service's address and a login are needed")
    older_than = timedelta(seconds=step.older_than)
    order = StaleOrder(order_id, step.status, datetime.now(UTC) - older_than)
    await compensated(orders, order, older_than, REASON)


async def mended(access: Access, ids: Sequence[str], within: float = MENDED_WITHIN_SECONDS) -> list[Plan]:
    """What is to be done about these orders once all of them are sound, or the time is up.

    They are waited for together: a broker that was lost leaves hundreds.
    """
    async with reading(access.mongodb_url) as books:

        async def look() -> list[Plan]:
            return await plans_in(books, access, ids, STILL, AT_ONCE)

        try:
            return await until(
                look,
                lambda found: all(each.ends is Ends.SOUND for each in found),
                within=within,
                what=f"{plural(len(ids), 'order')} mended",
                every=LOOK_SECONDS,
            )
        except NotInTimeError:
            return await look()
