"""Messages to decisions: which aggregates they need, what becomes of them. The saga itself is the table."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial
from typing import Final, NamedTuple, Protocol

from msgspec import Struct, structs

from services.order import saga
from services.order.commands import CancelOrder, CreateOrder, RequestRefund, SettleOutside, TimeOut
from services.order.model import Line, Order, Status
from services.shared.contract import events, money
from services.shared.contract.audit import Action
from services.shared.contract.codes import Code
from services.shared.contract.decisions import (
    Decision,
    Domain,
    KeyReused,
    Loaded,
    Message,
    NotFound,
    Ref,
    Refused,
    Rejected,
    Verdict,
    audited,
)
from services.shared.contract.idempotency import once

NO_SUCH_ORDER: Final = "no such order"
# What is paid is given back by a refund that somebody asks for, never by a timeout.
COMPENSABLE: Final = frozenset({Status.PENDING, Status.CONFIRMED})


class Terms(NamedTuple):
    """What customers may ask for."""

    # How long after it was paid for, an order can be refunded.
    refund_window: timedelta = timedelta(days=30)
    # Parts of an order: not while a service is still of a release that takes a part for the whole.
    partial_refunds: bool = True
    # How long stock is held for a payment on which the gateway decides later.
    payment_pending: timedelta = timedelta(minutes=30)


class Compensation(StrEnum):
    COMPENSATED = "compensated"
    ALREADY = "already"
    NOT_APPLICABLE = "notApplicable"


class Compensated(Struct, frozen=True):
    """The answer to an operator."""

    order: Order
    outcome: Compensation


class Product(Protocol):
    """What the catalogue says of a product."""

    @property
    def product_id(self) -> str: ...

    @property
    def name(self) -> str: ...

    @property
    def minor_price(self) -> int: ...

    @property
    def currency(self) -> str: ...


class Priced(NamedTuple):
    lines: tuple[Line, ...]
    currency: str


class Unpriceable(Refused):
    """An order that cannot be placed as it was asked for."""


class UnknownProducts(Unpriceable):
    code = Code.UNKNOWN_PRODUCT

    def __init__(self, ids: Sequence[str]) -> None:
        super().__init__(f"unknown products: {', '.join(ids)}")
        self.ids = ids


class MixedCurrencies(Unpriceable):
    code = Code.MIXED_CURRENCIES


class TotalTooLarge(Unpriceable):
    code = Code.TOTAL_TOO_LARGE


def price(asked: Mapping[str, int], products: Mapping[str, Product | None]) -> Priced:
    """The lines of an order: `asked` is pieces per product, `products` has each, or None for an unknown one.

    Raises Unpriceable.
    """
    known = [(product, pieces) for id_, pieces in asked.items() if (product := products[id_]) is not None]
    if len(known) < len(asked):
        raise UnknownProducts([id_ for id_ in asked if products[id_] is None])
    currencies = sorted({product.currency for product, _ in known})
    if len(currencies) > 1:
        several = " and ".join(currencies)
        raise MixedCurrencies(f"an order is in one currency, not {several}: place one order for each")
    lines = tuple(
        Line(product.product_id, pieces, product.minor_price, name=product.name) for product, pieces in known
    )
    if sum(line.price * line.quantity for line in lines) > money.LARGEST:
        raise TotalTooLarge("the order's total is too large: place several orders")
    return Priced(lines, currencies[0])


def home(message: Message) -> Ref:
    return Ref(Order, message.body.order_id)  # type: ignore[attr-defined]  # every message names one


def reads(_: Message, __: Loaded) -> Iterable[Ref]:
    return ()


def decide(loaded: Loaded, message: Message, *, terms: Terms) -> Decision:
    match message.body:
        case CreateOrder() as command:
            return saga.create(_as_asked(command, message.at), message)
        case TimeOut() as command:
            return _time_out(_ordered(loaded, command.order_id), message, command)
        case CancelOrder() as command:
            order = _theirs(loaded, command)
            return _answered_for(order, saga.advance(order, message), message, command)
        case RequestRefund() as command:
            order = _theirs(loaded, command)
            _check(order, message, command, terms)
            decision = _answered_for(order, saga.advance(order, message), message, command)
            asked_before = order.refund_named(command.refund_request_id) is not None
            return structs.replace(decision, replayed=asked_before)
        case SettleOutside() as command:
            order = _ordered(loaded, command.order_id)
            if order.refund_named(command.refund_request_id) is None:
                raise NotFound("the order has no such refund")
            settled = saga.advance(order, message)
            detail = f"refund {command.refund_request_id} by {command.reference}"
            return audited(
                settled,
                message,
                Action.REFUND_SETTLED_OUTSIDE,
                order.id,
                reason=command.reason,
                detail=detail,
            )
        case events.OrderEvent() as event:
            return _heard(loaded, message, event, terms)
        case other:
            raise Rejected(f"orders do nothing about {other!r}")


def _heard(loaded: Loaded, message: Message, event: events.OrderEvent, terms: Terms) -> Decision:
    known = loaded.get(Order, event.order_id)
    if known is None:
        raise Rejected("unknown order")
    decision = saga.advance(known, message)
    if isinstance(event, events.PaymentPending):
        return _reserved(decision, message.at, event, terms)
    return decision


def _reserved(decision: Decision, at: datetime, event: events.PaymentPending, terms: Terms) -> Decision:
    """With the time until which the stock is held: from the first news on, or sooner where the customer has
    less time, and never longer.
    """
    if decision.verdict is not Verdict.APPLIED:
        return decision
    (order,) = decision.changed
    assert isinstance(order, Order)  # noqa: S101  # what the saga changes
    ends = [order.reserved_until or at + terms.payment_pending]
    if event.next_action is not None and event.next_action.expires_at is not None:
        ends.append(event.next_action.expires_at)
    order = structs.replace(order, reserved_until=min(ends))
    return structs.replace(decision, changed=(order,), reply=order)


def _check(order: Order, message: Message, command: RequestRefund, terms: Terms) -> None:
    """Of a new request, whether the shop's terms allow it; of one made before, that it is the same.

    Raises KeyReused and Refused. What the order's state and its lines allow is the table's.
    """
    known = order.refund_named(command.refund_request_id)
    if known is not None:
        if known.request != command.request_hash:
            raise KeyReused("this idempotency key was used for another refund: send a new key")
        return
    of_a_part = bool(command.lines) or (order.status is Status.PAID and bool(order.refunds))
    if of_a_part and not terms.partial_refunds:
        raise Refused("orders are refunded as a whole for now, while the shop is upgraded: try again later")
    since_paid = message.at - order.state_since
    if command.customer_id and order.status is Status.PAID and since_paid > terms.refund_window:
        days = f"{terms.refund_window / timedelta(days=1):g}"
        raise Refused(f"an order can be refunded for {days} days after it was paid for: ask the shop")


def _answered_for(
    order: Order, decision: Decision, message: Message, command: CancelOrder | RequestRefund
) -> Decision:
    """What customers do with their own orders is told by the orders' history alone, and so is what was typed:
    an entry is never changed, and would name a customer who is erased.
    """
    if message.by is None or message.by.actor.id == order.customer_id:
        return decision
    match command:
        case RequestRefund():
            return audited(decision, message, Action.ORDER_REFUNDED, order.id)
        case CancelOrder():
            return audited(decision, message, Action.ORDER_CANCELLED, order.id)


def _ordered(loaded: Loaded, order_id: str) -> Order:
    order = loaded.get(Order, order_id)
    if order is None:
        raise NotFound(NO_SUCH_ORDER)
    return order


def _theirs(loaded: Loaded, command: CancelOrder | RequestRefund) -> Order:
    order = _ordered(loaded, command.order_id)
    if command.customer_id not in {None, order.customer_id}:
        raise NotFound(NO_SUCH_ORDER)
    return order


def _as_asked(command: CreateOrder, at: datetime) -> Order:
    return Order(
        id=command.order_id,
        customer_id=command.customer_id,
        email=command.email,
        locale=command.locale,
        status=Status.PENDING,
        state_since=at,
        lines=command.lines,
        currency=command.currency,
        total=sum(line.price * line.quantity for line in command.lines),
        fulfilment=command.fulfilment,
        payment_token=command.payment_token,
        created_at=at,
        updated_at=at,
    )


def _time_out(order: Order, message: Message, command: TimeOut) -> Decision:
    """Looks again: the order may have moved on since it was listed, or another operator been here."""
    if order.status is Status.CANCELLED:
        return Decision(reply=Compensated(order, Compensation.ALREADY), verdict=Verdict.DUPLICATE)
    stale = message.at - order.waits_since >= timedelta(seconds=command.older_than)
    if order.status is not command.status or order.status not in COMPENSABLE or not stale:
        return Decision(reply=Compensated(order, Compensation.NOT_APPLICABLE), verdict=Verdict.DUPLICATE)
    decision = saga.advance(order, message)
    (after,) = decision.changed
    assert isinstance(after, Order)  # noqa: S101  # what the saga changes
    compensated = structs.replace(decision, reply=Compensated(after, Compensation.COMPENSATED))
    return audited(compensated, message, Action.ORDER_COMPENSATED, order.id, reason=command.reason)


def domain(terms: Terms) -> Domain:
    return once(Domain(home=home, reads=reads, decide=partial(decide, terms=terms)))


# For tools, which do not know what a shop allows.
DOMAIN: Final = domain(Terms())
