"""The ids of all events of some orders, one by one: no release may change them.

Replicas of two versions answer the same causes during an upgrade, and outside clients remember ids: under
another id the same event would have its effect a second time.
"""

from collections.abc import Callable, Mapping
from typing import Final

import pytest

from sagactl.oncall.explain.explaining import explain
from sagactl.oncall.explain.explanation import Verdict
from services.order.commands import CancelOrder
from tests.unit.explain.desk import ORDER, Desk


def cancelled() -> Desk:
    """By its customer, before it was charged."""
    desk = Desk().heard("inventory", "orders")
    desk.command(CancelOrder(order_id=ORDER, customer_id=None))
    return desk.heard("payment-events", "STOCK_RESERVED", "inventory", "orders", "notifications")


PAID: Final = {
    "8be15095-1f84-51fa-b030-7329c2c65401": "INVENTORY_RESERVE_REQUEST",
    "c08dce9f-8a6b-5336-be6c-7131ffe9ce01": "INVENTORY_RESERVED",
    "d256fddc-2055-51be-b50d-ce0823c369ab": "ORDER_CONFIRMED",
    "bb7794e1-4e7b-5140-a232-c219f7240b2c": "PAYMENT_SUCCEEDED",
    "d94815f8-b6b7-5c92-9050-9ee57d524db3": "ORDER_PAID",
}
CANCELLED: Final = {
    "8be15095-1f84-51fa-b030-7329c2c65401": "INVENTORY_RESERVE_REQUEST",
    "c08dce9f-8a6b-5336-be6c-7131ffe9ce01": "INVENTORY_RESERVED",
    "d256fddc-2055-51be-b50d-ce0823c369ab": "ORDER_CONFIRMED",
    "b1016a2c-ecc3-5c99-a291-c073dd8d9c6a": "INVENTORY_RELEASE_REQUEST",
    "9f34b1e1-a423-5b44-a101-5f367bebf71f": "ORDER_CANCELLED",
    "17c1c59b-3a75-5748-bd98-97cb7193848a": "INVENTORY_RELEASED",
}
DECLINED: Final = {
    "8be15095-1f84-51fa-b030-7329c2c65401": "INVENTORY_RESERVE_REQUEST",
    "c08dce9f-8a6b-5336-be6c-7131ffe9ce01": "INVENTORY_RESERVED",
    "d256fddc-2055-51be-b50d-ce0823c369ab": "ORDER_CONFIRMED",
    "51e60a9a-e8d8-5a77-8b2d-2c77e5bda89f": "PAYMENT_FAILED",
    "aa0bb8af-17de-593e-a52c-4a5105021a4f": "INVENTORY_RELEASE_REQUEST",
    "39cffc7a-b472-56c4-bcb3-444183bbc21c": "ORDER_CANCELLED",
    "ec19edaa-4c44-534b-97fa-8caf1a160719": "INVENTORY_RELEASED",
}
REFUNDED: Final = PAID | {
    "358cc0e2-5407-533c-9fec-0ff2ce80a095": "ORDER_REFUND_REQUEST",
    "4322d7dc-0cf5-56be-be22-bdba31dcf83a": "PAYMENT_REFUND",
    "f4149b4f-3cb2-5218-85ff-4c6ed5548c75": "PAYMENT_REFUNDED",
    "82cbb086-b0c3-5d7f-9942-b202d28813f1": "INVENTORY_RELEASE_REQUEST",
    "d409763b-8593-515c-bfc9-ff07015bb5fe": "INVENTORY_RELEASED",
    "8fe2038b-bdeb-599c-9694-79283612a3da": "ORDER_REFUNDED",
}
DELIVERED: Final = PAID | {
    "d5bdb873-cc06-5b27-ab68-bb24f8aefcbc": "SHIPMENT_REQUEST",
    "b4c7ccc8-662f-5c6c-9e10-ff03c619dd6f": "SHIPMENT_APPROVED",
    "b1b3e1b3-81f6-583c-9651-ccf92d71e0b2": "ORDER_SHIPPED",
    "d1ef33be-9516-52b6-8186-eb9136d9a641": "ORDER_DELIVERED",
}


@pytest.mark.parametrize(
    ("made", "golden"),
    [
        (Desk().paid, PAID),
        (cancelled, CANCELLED),
        (Desk(declines=True).declined, DECLINED),
        (Desk().refunded, REFUNDED),
        (Desk().delivered, DELIVERED),
    ],
    ids=["paid", "cancelled", "declined", "refunded", "delivered"],
)
def test_the_ids_of_an_orders_events_never_change_between_releases(
    made: Callable[[], Desk], golden: Mapping[str, str]
) -> None:
    desk = made()
    assert {event.id: event.type for event in desk.published} == golden
    # Those who look for an order's messages compute the same: else they would call them missing.
    told = explain(desk.marks())
    assert {hop.id: hop.type for hop in told.hops} == golden
    assert told.verdict is Verdict.SETTLED
