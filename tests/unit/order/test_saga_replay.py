"""A history is believed only if the table allows each step of it."""

import pytest
from msgspec import structs

from services.order.model import HistoryEntry, Status
from services.order.saga import replay
from tests.unit.order import examples as eg

CREATED = HistoryEntry(eg.AT, "ORDER_CREATED", None, Status.PENDING, "1")
RESERVED = HistoryEntry(eg.AT, "INVENTORY_RESERVED", Status.PENDING, Status.CONFIRMED, "2")
PAID = HistoryEntry(eg.AT, "PAYMENT_SUCCEEDED", Status.CONFIRMED, Status.PAID, "3")
REFUND = HistoryEntry(eg.AT, "REFUND_REQUESTED", Status.PAID, Status.REFUNDING, "4")
MONEY_BACK = HistoryEntry(eg.AT, "PAYMENT_REFUNDED", Status.REFUNDING, Status.REFUNDING, "5")
STOCK_BACK = HistoryEntry(eg.AT, "INVENTORY_RELEASED", Status.REFUNDING, Status.REFUNDED, "6")
TIMED_OUT = HistoryEntry(eg.AT, "SAGA_TIMEOUT", Status.CONFIRMED, Status.CANCELLED, "7")
LATE = HistoryEntry(eg.AT, "PAYMENT_SUCCEEDED", Status.CANCELLED, Status.CANCELLED, "8")


@pytest.mark.parametrize(
    ("history", "end"),
    [
        ([CREATED], Status.PENDING),
        ([CREATED, RESERVED, PAID], Status.PAID),
        ([CREATED, RESERVED, PAID, REFUND, MONEY_BACK, STOCK_BACK], Status.REFUNDED),
        ([CREATED, RESERVED, TIMED_OUT, LATE], Status.CANCELLED),
    ],
)
def test_a_history_that_can_have_happened_leads_to_its_end(history: list[HistoryEntry], end: Status) -> None:
    assert replay(history) is end


@pytest.mark.parametrize(
    ("history", "reason"),
    [
        ([], "has a history"),
        ([RESERVED], "starts from PENDING, but it was NEW"),
        ([CREATED, PAID], "starts from CONFIRMED, but it was PENDING"),
        ([CREATED, CREATED], "starts from NEW"),
        ([structs.replace(CREATED, to=Status.PAID)], "does not lead from NEW to PAID"),
        ([structs.replace(CREATED, event="INVENTORY_RESERVED")], "does not lead"),
        ([CREATED, structs.replace(RESERVED, to=Status.PAID)], "does not lead from PENDING to PAID"),
        ([CREATED, RESERVED, TIMED_OUT, structs.replace(LATE, to=Status.PAID)], "does not lead"),
        (
            [CREATED, RESERVED, PAID, structs.replace(TIMED_OUT, from_=Status.PAID)],
            "SAGA_TIMEOUT does not lead from PAID to CANCELLED",
        ),
    ],
)
def test_a_history_that_cannot_have_happened_is_not_believed(
    history: list[HistoryEntry], reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        replay(history)
