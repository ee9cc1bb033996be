"""What of an order is given back, how much that is, and the words of the saga's table about it.

Refunds run side by side. What was asked for once counts against its line, whatever becomes of it, so that no
sequence of refunds gives back more than was paid.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Final, TypeAlias, TypeVar

from msgspec import structs

from services.order.commands import RequestRefund, SettleOutside
from services.order.model import (
    MONEY_IS_BACK,
    Line,
    LineState,
    Order,
    Progress,
    Refund,
    RefundLine,
    RefundState,
    ShippedLine,
)
from services.shared.contract import events, money
from services.shared.contract.events import (
    LONGEST_TEXT,
    Event,
    PaymentRefunded,
    PaymentRefundFailed,
    StockReleased,
)

REFUND: Final = "REFUND"
# Each is a few entries of the order's history.
MOST_REFUNDS: Final = 100

Answer: TypeAlias = PaymentRefunded | PaymentRefundFailed | StockReleased
AboutARefund: TypeAlias = RequestRefund | SettleOutside | Answer
Trigger = TypeVar("Trigger")


# --- how much ---------------------------------------------------------------------------------------------


def part(paid: int, pieces: int, asked: int, more: int) -> int:
    """Of what was `paid` for all `pieces` of a line, what `more` of them are when `asked` were asked for
    before. Parts of any sizes, in any order, add up to what was paid.
    """
    return paid * (asked + more) // pieces - paid * asked // pieces


def pieces(refunds: Iterable[Refund], *states: RefundState, goods: bool = False) -> Counter[str]:
    """How many pieces of each product these refunds are about; with `goods`, of what comes back."""
    counted: Counter[str] = Counter()
    for refund in refunds:
        if refund.state in states:
            for line in refund.goods if goods else refund.lines:
                counted[line.product_id] += line.quantity
    return counted


def asked(order: Order) -> Counter[str]:
    return pieces(order.given_back, *RefundState)


def refunded(order: Order) -> Counter[str]:
    return pieces(order.given_back, *MONEY_IS_BACK)


def returned(order: Order) -> Counter[str]:
    return pieces(order.given_back, RefundState.DONE, goods=True)


def left(order: Order) -> Counter[str]:
    """The pieces that may be asked back yet."""
    before = asked(order)
    return Counter({line.product_id: line.quantity - before[line.product_id] for line in order.served})


def lines_of(order: Order, command: RequestRefund) -> tuple[RefundLine, ...]:
    """What is asked back: those lines, or all that is left."""
    return command.lines or tuple(RefundLine(id_, count) for id_, count in left(order).items() if count)


def amount_of(order: Order, lines: Iterable[RefundLine]) -> int:
    """What is paid back for `lines`, beside what was asked for before. In minor units."""
    before, paid = asked(order), {line.product_id: line for line in order.served}
    return sum(
        part(
            paid[line.product_id].price * paid[line.product_id].quantity,
            paid[line.product_id].quantity,
            before[line.product_id],
            line.quantity,
        )
        for line in lines
    )


def progress(refunds: Iterable[Refund]) -> Progress:
    """Of the customer's money."""
    open_ = [refund.is_open for refund in refunds]
    return Progress.PENDING if any(open_) else Progress.DONE if open_ else Progress.NONE


# --- which of them ----------------------------------------------------------------------------------------


def named(order: Order, trigger: Trigger) -> Trigger:
    """An answer that names no refund we know is taken for that to the refund that it fits, the open first:
    older services answer without a name, and older releases of ours forget them.
    """
    if not isinstance(trigger, Answer) or order.refund_named(trigger.refund_request_id) is not None:
        return trigger
    fitting = [
        refund
        for refund in order.given_back
        if trigger.refund_request_id is None or refund.id == order.id
        if _fits(order, refund, trigger)
    ]
    wanted = RefundState.MONEY_BACK if isinstance(trigger, StockReleased) else RefundState.ASKED
    likely = sorted(fitting, key=lambda refund: (refund.state is not wanted, not refund.is_open))
    if not likely:
        return trigger
    return structs.replace(trigger, refund_request_id=likely[0].id)


def _fits(order: Order, refund: Refund, answer: Answer) -> bool:
    if isinstance(answer, StockReleased):
        goods = {line.product_id: line.quantity for line in refund.goods}
        return bool(goods) and goods == {line.product_id: line.quantity for line in answer.products}
    return _is_its_amount(order, refund, answer)


def _is_its_amount(order: Order, refund: Refund, answer: PaymentRefunded | PaymentRefundFailed) -> bool:
    amount = money.to_minor(answer.amount, answer.currency)
    return (refund.amount, order.refund_currency) == (amount, answer.currency)


def refund_of(order: Order, trigger: AboutARefund) -> Refund | None:
    return order.refund_named(trigger.refund_request_id)


# --- guards: of a request ---------------------------------------------------------------------------------


def asked_before(order: Order, command: RequestRefund) -> bool:
    return refund_of(order, command) is not None


def of_lines(_: Order, command: RequestRefund) -> bool:
    return bool(command.lines)


def of_more_than_is_left(order: Order, command: RequestRefund) -> bool:
    there = left(order)
    return any(line.quantity > there[line.product_id] for line in command.lines)


def of_all_that_is_left(order: Order, command: RequestRefund) -> bool:
    there = left(order)
    there.subtract({line.product_id: line.quantity for line in lines_of(order, command)})
    return not any(there.values())


def is_one_too_many(order: Order, _: RequestRefund) -> bool:
    return len(order.given_back) >= MOST_REFUNDS


# --- guards: of an answer ---------------------------------------------------------------------------------


def _in_state(*states: RefundState) -> Callable[[Order, AboutARefund], bool]:
    def holds(order: Order, trigger: AboutARefund) -> bool:
        refund = refund_of(order, trigger)
        return refund is not None and refund.state in states

    return holds


is_done = _in_state(RefundState.DONE)
is_refused = _in_state(RefundState.REFUSED)
money_is_back = _in_state(*MONEY_IS_BACK)
money_is_not_back = _in_state(RefundState.ASKED, RefundState.REFUSED)


def was_not_asked(order: Order, answer: Answer) -> bool:
    """Nobody asked for such a refund, or for another amount."""
    refund = refund_of(order, answer)
    if refund is None:
        return True
    return not isinstance(answer, StockReleased) and not _is_its_amount(order, refund, answer)


def settled_before(order: Order, trigger: PaymentRefunded | SettleOutside) -> bool:
    """By another way than the gateway."""
    refund = refund_of(order, trigger)
    return refund is not None and bool(refund.outside)


def settled_so_before(order: Order, command: SettleOutside) -> bool:
    refund = refund_of(order, command)
    return refund is not None and refund.outside == command.reference


def is_not_refused(order: Order, command: SettleOutside) -> bool:
    return not is_refused(order, command)


def of_an_earlier_attempt(order: Order, event: PaymentRefundFailed) -> bool:
    """The news that it was refused come after the money, which a later attempt has brought."""
    refund = refund_of(order, event)
    return refund is not None and not refund.is_open and event.attempt < refund.attempt


def with_goods(order: Order, trigger: AboutARefund) -> bool:
    refund = refund_of(order, trigger)
    return refund is not None and bool(refund.goods)


def is_the_last(order: Order, trigger: AboutARefund) -> bool:
    """All others are done."""
    return all(
        refund.state is RefundState.DONE
        for refund in order.given_back
        if refund.id != trigger.refund_request_id
    )


# --- what is recorded -------------------------------------------------------------------------------------


def refund_asked(order: Order, command: RequestRefund) -> Order:
    lines = lines_of(order, command)
    refund = Refund(
        id=command.refund_request_id,
        lines=lines,
        amount=amount_of(order, lines),
        reason=command.reason,
        request=command.request_hash,
    )
    return structs.replace(order, refunds=(*order.given_back, refund), refund_reason=command.reason)


def refund_refused(order: Order, event: PaymentRefundFailed) -> Order:
    return _changed(order, event, state=RefundState.REFUSED, refusal=event.reason[:LONGEST_TEXT])


def money_back(order: Order, event: PaymentRefunded | SettleOutside) -> Order:
    state = RefundState.MONEY_BACK if with_goods(order, event) else RefundState.DONE
    attempt = event.attempt if isinstance(event, PaymentRefunded) else 0
    return _changed(order, event, state=state, attempt=attempt)


def settled_outside(order: Order, command: SettleOutside) -> Order:
    return _changed(money_back(order, command), command, outside=command.reference)


def goods_back(order: Order, event: StockReleased) -> Order:
    order = _changed(order, event, state=RefundState.DONE)
    back = returned(order)
    lines = tuple(
        structs.replace(line, state=LineState.RELEASED)
        if line.state is LineState.SOLD and back[line.product_id] == line.quantity
        else line
        for line in order.lines
    )
    return structs.replace(order, lines=lines)


def late_money_back(order: Order, event: PaymentRefunded) -> Order:
    """All that was captured of a cancelled order."""
    done = tuple(
        structs.replace(refund, state=RefundState.DONE, attempt=event.attempt) for refund in order.given_back
    )
    return structs.replace(order, refunds=done)


def _changed(order: Order, trigger: AboutARefund, **changes: object) -> Order:
    refunds = tuple(
        structs.replace(refund, **changes) if refund.id == trigger.refund_request_id else refund
        for refund in order.given_back
    )
    return structs.replace(order, refunds=refunds)


# --- what is published ------------------------------------------------------------------------------------


def refund_requested(order: Order, command: RequestRefund) -> Event:
    refund = _known(order, command)
    return events.RefundRequested(
        order_id=order.id,
        reason=command.reason,
        refund_request_id=_on_the_wire(order, refund),
        products=products(refund.lines),
        amount=_decimal(order, refund.amount),
        currency=order.currency,
        email=order.email,
        locale=order.locale,
    )


def refund_payment(order: Order, command: RequestRefund | SettleOutside) -> events.RefundPayment:
    refund, capture = _known(order, command), order.capture
    assert capture is not None  # noqa: S101  # of the table: what is given back was captured
    return events.RefundPayment(
        order_id=order.id,
        amount=money.to_decimal(refund.amount, capture.currency),
        currency=capture.currency,
        reason=command.reason,
        refund_request_id=_on_the_wire(order, refund),
        transaction_id=capture.transaction_id,
    )


def payment_settled(order: Order, command: RequestRefund | SettleOutside) -> Event:
    """So that nobody asks the gateway for it any more."""
    event = refund_payment(order, command)
    return structs.replace(event, settled_outside=_known(order, command).outside)


def release_refunded(order: Order, trigger: PaymentRefunded | SettleOutside) -> Event:
    """Without a name it is all of the order, as older releases ask for it."""
    refund = _known(order, trigger)
    name = _on_the_wire(order, refund)
    return events.ReleaseStock(
        order_id=order.id,
        reason=REFUND,
        refund_request_id=name,
        products=products(refund.goods) if name else (),
    )


def order_partially_refunded(order: Order, trigger: AboutARefund) -> Event:
    refund = _known(order, trigger)
    back = sum(each.amount for each in order.given_back if not each.is_open)
    return events.OrderPartiallyRefunded(
        order_id=order.id,
        refund_request_id=refund.id,
        products=products(refund.lines),
        amount=_decimal(order, refund.amount),
        refunded_total=_decimal(order, back),
        currency=order.currency,
        email=order.email,
        locale=order.locale,
    )


def order_refunded(order: Order, _: AboutARefund) -> Event:
    return events.OrderRefunded(
        order_id=order.id,
        total_price=_decimal(order, order.total),
        currency=order.currency,
        email=order.email,
        locale=order.locale,
    )


def _known(order: Order, trigger: AboutARefund) -> Refund:
    refund = refund_of(order, trigger)
    assert refund is not None  # noqa: S101  # of the table: it was asked for
    return refund


def _on_the_wire(order: Order, refund: Refund) -> str | None:
    return None if refund.id == order.id else refund.id


def products(lines: Iterable[Line | RefundLine | ShippedLine]) -> tuple[events.Line, ...]:
    """As events name them."""
    return tuple(events.Line(line.product_id, line.quantity) for line in lines)


def _decimal(order: Order, minor: int) -> Decimal:
    return money.to_decimal(minor, order.currency)
