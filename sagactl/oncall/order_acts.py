"""`sagactl orders cancel`, `refund`, `compensate`: what the saga's table allows, asked of the order service.

What would come of it is said before, by the order service's own rules. Whether it may be done, that service
decides, by the login of an administrator. It is on its audit trail; why it was asked, on that of the tools.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Final, NamedTuple
from urllib.parse import quote

import typer
from msgspec import Struct, structs

from saga_operator.policy.policy import Outcome, StaleOrder
from sagactl.access import Access, OrderAccess
from sagactl.documents import Document
from sagactl.faults import WrongError
from sagactl.oncall import acting, arguments
from sagactl.oncall.acting import Asked, Words, decided, lines, post
from sagactl.oncall.administrator import login
from sagactl.oncall.books import reading
from sagactl.oncall.explain.marks import Marks
from sagactl.oncall.explain.table import action
from sagactl.oncall.sweep import compensated
from sagactl.oncall.watching import known
from sagactl.output import Form, Output, Shown, show
from sagactl.terminal import Stack, access, run
from services.order import refunds
from services.order.commands import CancelOrder, RequestRefund, TimeOut
from services.order.model import Order, RefundLine, Restocking, Status
from services.shared.contract import money
from services.shared.contract.audit import Action


class Act(StrEnum):
    CANCEL = "cancel"
    REFUND = "refund"
    COMPENSATE = "compensate"


ACTIONS: Final = {
    Act.CANCEL: Action.ORDER_CANCELLED,
    Act.REFUND: Action.ORDER_REFUNDED,
    Act.COMPENSATE: Action.ORDER_COMPENSATED,
}


class Line(Struct, frozen=True, rename="camel"):
    """Of a refund."""

    product: str
    quantity: int
    # Whether the goods can be sold again.
    restock: Restocking


class OrderAct(Document, frozen=True, kw_only=True):
    """What is done with an order, or would be."""

    order: str
    act: Act
    # As it is now.
    status: Status
    allowed: bool
    # What it does; or the table's own sentence why it may not be done.
    says: str
    # Events that are published then.
    emits: tuple[str, ...] = ()
    # What is asked back, in a refund.
    lines: tuple[Line, ...] = ()
    # In the currency's own units; None where it is no refund.
    amount: str | None = None
    currency: str
    done: bool = False

    @property
    def subject(self) -> str:
        return self.order


class _Agreed(NamedTuple):
    act: OrderAct
    # Why.
    reason: str


Lines = Annotated[
    list[str] | None,
    typer.Option(
        "--line",
        metavar="PRODUCT=PIECES",
        help="Refund only this many pieces of a product. May be given several times.",
    ),
]


def cancel(
    order_id: arguments.Order,
    stack: Stack = None,
    reason: arguments.Reason = None,
    dry_run: arguments.DryRun = False,  # noqa: FBT002  # an option
    yes: arguments.Yes = False,  # noqa: FBT002  # an option
    output: Form = Output.TABLE,
) -> None:
    """Cancel an order that is not paid yet. Its stock is returned.

    Exit code 0: it is cancelled. 1: the order's state forbids it. 3: it was only planned.
    """
    given = _agreed(stack, order_id, Act.CANCEL, Asked(reason, dry_run, yes, output))
    post(stack, _route(order_id, "cancel"), {"reason": given.reason})
    _tell(stack, given, output)


def refund(  # noqa: PLR0917 - a command's options
    order_id: arguments.Order,
    stack: Stack = None,
    line: Lines = None,
    restock: Annotated[
        Restocking, typer.Option(help="Whether the goods of those lines come back and can be sold again.")
    ] = Restocking.RETURN,
    reason: arguments.Reason = None,
    dry_run: arguments.DryRun = False,  # noqa: FBT002  # an option
    yes: arguments.Yes = False,  # noqa: FBT002  # an option
    output: Form = Output.TABLE,
) -> None:
    """Refund a paid order, and take its goods back: all that is left of it, or single lines.

    Exit code 0: the refund is under way. 1: the order's state forbids it, or less is left of the order. 3:
    it was only planned.
    """
    lines = tuple(_line(text, restock) for text in line or ())
    if restock is not Restocking.RETURN and not lines:
        raise typer.BadParameter("name the goods that do not come back: --line PRODUCT=PIECES")
    given = _agreed(stack, order_id, Act.REFUND, Asked(reason, dry_run, yes, output), lines)
    named = [
        {"productId": each.product_id, "quantity": each.quantity, "restock": each.restock} for each in lines
    ]
    body = {"reason": given.reason} | ({"lines": named} if named else {})
    post(stack, _route(order_id, "refund"), body)
    _tell(stack, given, output)


def compensate(
    order_id: arguments.Order,
    stack: Stack = None,
    reason: arguments.Reason = None,
    dry_run: arguments.DryRun = False,  # noqa: FBT002  # an option
    yes: arguments.Yes = False,  # noqa: FBT002  # an option
    output: Form = Output.TABLE,
) -> None:
    """Cancel a stuck order as a sweep does, however long it has been stuck.

    Needs ORDER_URL and a login, or a token (ORDER_TOKEN).

    Exit code 0: it is cancelled. 1: the order's state forbids it, or has changed meanwhile. 3: it was only
    planned.
    """
    given = _agreed(stack, order_id, Act.COMPENSATE, Asked(reason, dry_run, yes, output))
    run(_compensated(login(OrderAccess.found, stack), given))
    _tell(stack, given, output)


async def _compensated(service: OrderAccess, given: _Agreed) -> None:
    """The order is as it was when it was looked at, or is left alone."""
    order = StaleOrder(given.act.order, given.act.status, datetime.now(UTC))
    if await compensated(service, order, timedelta(0), given.reason) is Outcome.NOT_APPLICABLE:
        raise WrongError(f"the order is no longer {given.act.status}: sagactl explain {order.order_id}")


def _agreed(stack: Stack, order_id: str, act: Act, asked: Asked, lines: Sequence[RefundLine] = ()) -> _Agreed:
    """What is to be done, is allowed, and is on the audit trail as asked. Else it ends the command."""
    find = OrderAccess.found if act is Act.COMPENSATE else OrderAccess.at_the_gateway
    of_it = acting.Act(ACTIONS[act], f"{act.capitalize()} {order_id}?", find)
    planned, reason = decided(stack, of_it, asked, lambda where: _planned(where, order_id, act, lines), shown)
    return _Agreed(planned, reason)


async def _planned(where: Access, order_id: str, act: Act, lines: Sequence[RefundLine]) -> OrderAct:
    """Raises AbsentError where the order service does not know it."""
    async with reading(where.mongodb_url) as books:
        order, at = await known(books.store("order"), order_id), await books.now()
        (case,) = await books.these([order_id])
    return plan(order, Marks(case=case, at=at), act, lines)


def plan(order: Order, marks: Marks, act: Act, lines: Sequence[RefundLine] = ()) -> OrderAct:
    """What the act would do, by the saga's table."""
    command = _command(order, act, lines)
    found = action(act, order, command, marks)
    back = refunds.lines_of(order, command) if found.allowed and isinstance(command, RequestRefund) else ()
    amount = str(money.to_decimal(refunds.amount_of(order, back), order.currency)) if back else None
    return OrderAct(
        order=order.id,
        act=act,
        status=order.status,
        allowed=found.allowed,
        says=found.says,
        emits=found.emits,
        lines=tuple(Line(each.product_id, each.quantity, each.restock) for each in back),
        amount=amount,
        currency=order.currency,
    )


def _command(order: Order, act: Act, lines: Sequence[RefundLine]) -> CancelOrder | RequestRefund | TimeOut:
    match act:
        case Act.CANCEL:
            return CancelOrder(order_id=order.id, customer_id=None)
        case Act.REFUND:
            return RequestRefund(
                order_id=order.id, customer_id=None, reason="", refund_request_id="", lines=tuple(lines)
            )
        case Act.COMPENSATE:
            return TimeOut(order_id=order.id, status=order.status, older_than=0, reason="")


def _line(text: str, restock: Restocking) -> RefundLine:
    product, _, pieces = text.rpartition("=")
    if not product or not pieces.isdecimal() or not int(pieces):
        raise typer.BadParameter(f"{text}: give a product's id and a number of pieces, such as PRODUCT=2")
    return RefundLine(product, int(pieces), restock)


def _route(order_id: str, route: str) -> str:
    return f"/api/orders/{quote(order_id, safe='')}/{route}"


def _tell(stack: Stack, given: _Agreed, output: Output) -> None:
    """What has become of the order by now."""
    order = run(_again(access(stack), given.act.order))
    show(shown(structs.replace(given.act, status=order.status, done=True)), output)


async def _again(where: Access, order_id: str) -> Order:
    async with reading(where.mongodb_url) as books:
        return await known(books.store("order"), order_id)


def shown(act: OrderAct) -> Shown:
    words = Words(
        noun="order",
        name=f"{act.order}, which is {act.status}",
        act=act.act,
        became=f"{act.act}: the order is {act.status}",
        more=[*_more(act)],
    )
    return Shown(act, lambda _: lines(act, words), [act.order])


def _more(act: OrderAct) -> Iterator[tuple[str, str]]:
    if act.emits:
        yield "emits", ", ".join(act.emits)
    for each in act.lines:
        away = "" if each.restock is Restocking.RETURN else ", which do not come back"
        yield "line", f"{each.quantity} of {each.product}{away}"
    if act.amount is not None:
        yield "back", f"{act.amount} {act.currency}"
