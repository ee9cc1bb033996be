"""`sagactl payments`: refunds under way, and what the payment gateway says it did for an order."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from operator import attrgetter
from typing import Annotated, Final

import typer
from msgspec import UNSET, Struct, UnsetType, structs
from pymongo import ASCENDING

from saga_operator.policy.summary import timestamp
from sagactl.documents import Document
from sagactl.faults import AbsentError
from sagactl.oncall import arguments
from sagactl.oncall.books import Books, reading
from sagactl.oncall.status.standing import said
from sagactl.output import Column, Form, Output, Shown, show, table
from sagactl.screen import printable
from sagactl.terminal import Stack, access, run
from services.payment.gateway import (
    Answer,
    Authorized,
    Captured,
    Declined,
    Pending,
    Refunded,
    RefundPending,
    RefundRefused,
    Voided,
)
from services.payment.payment import IS_BACK, PAID, UNDECIDED, Payment, PaymentRefund, PaymentState
from services.payment.queries import BEING_REFUNDED
from services.shared.contract import money
from services.shared.database.store import readable

NOTHING: Final = "it knows nothing about it"
app = typer.Typer(no_args_is_help=True, help="Payments: refunds under way, and what the payment gateway did.")


class Call(Struct, frozen=True, rename="camel", kw_only=True):
    """What the payment gateway was asked for, or is to be asked for."""

    # `capture` or `refund`.
    kind: str
    # By which the order knows the refund; empty for all that was captured, and for the capture.
    refund: str = ""
    # In the currency's own units.
    amount: str
    # As the payment service has it.
    state: str
    # Why it was refused, or declined.
    reason: str = ""
    # How often it was refused, and when it is asked for again.
    refusals: int = 0
    asked_again_at: datetime | None = None
    # The idempotency key.
    key: str
    # What the gateway says of the key. None: it knows of nothing; absent: it was not asked.
    says: str | UnsetType | None = UNSET


class PaymentFacts(Document, frozen=True, kw_only=True):
    """A payment, call by call, beside what the gateway says."""

    order: str
    state: str
    currency: str
    calls: tuple[Call, ...]


class Refunding(Struct, frozen=True, rename="camel", kw_only=True):
    """A refund that is not back with the customer."""

    order: str
    currency: str
    # Since when any refund of the order is under way.
    since: datetime | None
    call: Call


class RefundList(Document, frozen=True, kw_only=True):
    # By the database's clock.
    at: datetime
    # The oldest first.
    items: tuple[Refunding, ...]


@app.command("list")
def list_(
    stack: Stack = None,
    limit: Annotated[
        int, typer.Option(min=1, max=10_000, help="Refunds of at most this many orders, the oldest.")
    ] = 50,
    output: Form = Output.TABLE,
) -> None:
    """Show refunds under way, the oldest first, with the reason of each refusal and the time of the next try.

    Only reads, and does not call the payment gateway.
    """
    show(shown(run(_list(access(stack).mongodb_url, limit))), output)


@app.command("show")
def show_(order_id: arguments.Order, stack: Stack = None, output: Form = Output.TABLE) -> None:
    """Show an order's capture and refunds, each beside the payment gateway's record of it. Only reads."""
    found = run(_facts(access(stack).mongodb_url, order_id))
    show(Shown(found, lambda _: lines(found), [found.order]), output)


async def _list(mongodb_url: str, limit: int) -> RefundList:
    async with reading(mongodb_url) as books:
        found = books.of("payment")[Payment.collection].find(BEING_REFUNDED).sort("intendedAt", ASCENDING)
        payments = readable(Payment, await found.limit(limit).to_list())
        return RefundList(at=await books.now(), items=tuple(under_way(payments)))


def under_way(payments: Iterable[Payment]) -> Iterator[Refunding]:
    for payment in payments:
        for refund in payment.given_back:
            if refund.state not in IS_BACK:
                call = _refund(payment, refund)
                yield Refunding(
                    order=payment.id, currency=payment.currency, since=payment.intended_at, call=call
                )


async def _facts(mongodb_url: str, order_id: str) -> PaymentFacts:
    """Raises AbsentError where there is no payment."""
    async with reading(mongodb_url) as books:
        payment = (await books.payments_of([order_id])).get(order_id)
        if payment is None:
            raise AbsentError(
                f"the payment service knows no order {order_id}: see sagactl explain {order_id}"
            )
        calls = [await _asked(books, call, payment.transaction_id) for call in calls_of(payment)]
    return PaymentFacts(order=payment.id, state=payment.stage, currency=payment.currency, calls=tuple(calls))


async def _asked(books: Books, call: Call, reference: str) -> Call:
    answer = await books.gateway.lookup(call.key, reference)
    return structs.replace(call, says=None if answer is None else words(answer))


def calls_of(payment: Payment) -> Iterator[Call]:
    yield Call(
        kind="capture",
        amount=_amount(payment, payment.amount),
        state=PaymentState.CAPTURED if payment.state in PAID else payment.stage,
        reason=payment.reason,
        asked_again_at=payment.ask_at if payment.state in UNDECIDED else None,
        key=payment.capture_key,
    )
    for refund in payment.given_back:
        yield _refund(payment, refund)


def _refund(payment: Payment, refund: PaymentRefund) -> Call:
    return Call(
        kind="refund",
        refund=refund.request_id,
        amount=_amount(payment, refund.amount),
        state=refund.state,
        reason=refund.reason,
        refusals=refund.attempt,
        asked_again_at=refund.ask_at,
        key=payment.refund_key(refund),
    )


def _amount(payment: Payment, minor: int) -> str:
    """Nobody asked for any where there is no currency."""
    return str(money.to_decimal(minor, payment.currency)) if payment.currency else str(minor)


def words(answer: Answer) -> str:  # noqa: PLR0911  # one for each
    match answer:
        case Pending():
            return f"pending {answer.transaction_id}: it decides later"
        case Authorized():
            return f"authorised {answer.transaction_id}: it holds the money"
        case Voided():
            return f"called off {answer.transaction_id}".rstrip()
        case RefundPending():
            return "pending: it decides later"
        case Captured():
            return f"captured {answer.transaction_id}"
        case Declined():
            return f"declined {answer.transaction_id}: {answer.reason}"
        case Refunded():
            return f"refunded {answer.refund_id}"
        case RefundRefused():
            return f"refused: {answer.reason}"


def shown(found: RefundList) -> Shown:
    columns: Sequence[Column[Refunding]] = (
        Column("order", attrgetter("order"), whole=True),
        Column("refund", lambda each: f"{each.call.amount} {each.currency}"),
        Column("state", attrgetter("call.state")),
        Column("for", lambda each: said(found.at - each.since) if each.since else ""),
        Column("again", lambda each: _in(each.call.asked_again_at, found.at)),
        Column("why", attrgetter("call.reason"), wide=True),
        Column("id", attrgetter("call.refund"), wide=True),
    )
    text = table(found.items, "refund", columns, "No refund is under way.")
    return Shown(found, text, [each.order for each in found.items], found.items)


def _in(at: datetime | None, now: datetime) -> str:
    return "" if at is None else f"in {said(at - now)}"


def said_of(call: Call) -> str:
    return call.says if isinstance(call.says, str) else NOTHING


def lines(found: PaymentFacts) -> Iterator[str]:
    yield f"[bold]order[/]    {printable(found.order)}  payment {found.state}"
    for call in found.calls:
        id_ = f" {call.refund}" if call.refund else ""
        why = f" ({call.reason})" if call.reason else ""
        again = f", asked again at {timestamp(call.asked_again_at)}" if call.asked_again_at else ""
        amount = f"{call.amount} {found.currency}".strip()
        yield f"[bold]{call.kind:<8}[/] {printable(f'{amount}{id_}: {call.state}{why}{again}')}"
        yield f"[bold]gateway[/]  {printable(f'{call.key}: {said_of(call)}')}"
