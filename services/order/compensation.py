"""What an order still owes: releases not answered, a refund not made.

Counted from what its steps publish and from what comes back, so that no row of the table has to keep account.
"""

from collections.abc import Iterable

from msgspec import structs

from services.order.model import Order, Refund, Release
from services.order.refunds import progress
from services.shared.contract import money
from services.shared.contract.decisions import Message
from services.shared.contract.events import Event, RefundPayment, ReleaseStock, StockReleased


def accounted(order: Order, message: Message, emitted: Iterable[Event]) -> Order:
    """`order`, after the step that `message` made it take, with what it owes by then."""
    if isinstance(message.body, StockReleased):
        order = structs.replace(order, releases=_answered(order.releases, message.id))
    for event in emitted:
        if isinstance(event, ReleaseStock):
            order = structs.replace(order, releases=_asked(order.releases, message.id))
        elif isinstance(event, RefundPayment) and _is_of_all(event):
            order = structs.replace(order, refunds=(*order.given_back, _all_of(order, event)))
    return structs.replace(order, refund=progress(order.refunds)) if order.refunds else order


def _is_of_all(event: RefundPayment) -> bool:
    """Asked for by no command, and therefore without a name."""
    return event.refund_request_id is None and event.settled_outside is None


def _all_of(order: Order, event: RefundPayment) -> Refund:
    """What was captured of an order that is cancelled: nobody asked for it, and nothing of it was sold."""
    amount = money.to_minor(event.amount, event.currency)
    return Refund(id=order.id, amount=amount, reason=event.reason)


def _asked(releases: tuple[Release, ...], by: str) -> tuple[Release, ...]:
    """Asked again by the same message it is the same release: inventory, which remembers, answers it once."""
    known = any(release.asked_by == by for release in releases)
    return releases if known else (*releases, Release(by))


def _answered(releases: tuple[Release, ...], by: str) -> tuple[Release, ...]:
    """An answer does not say to which release: it is taken for the oldest open one's. Any answer will do for
    any of them, since each gives back the whole order, now and later.
    """
    if any(release.answered_by == by for release in releases):
        return releases
    oldest = next((release for release in releases if release.answered_by is None), None)
    return tuple(
        structs.replace(release, answered_by=by) if release is oldest else release for release in releases
    )
