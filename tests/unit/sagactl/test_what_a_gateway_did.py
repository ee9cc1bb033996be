"""What a gateway of others' has done, kept aside by order: all of it may be more than fits into memory."""

import tracemalloc
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Final

import pytest

from sagactl.access import NoAccessError
from sagactl.oncall.bank import Listed, check_played
from services.payment.gateway import Kind, Status, Transaction
from services.payment.payment import Payment, PaymentState

BEGAN: Final = datetime(2026, 1, 1, tzinfo=UTC)


def done(order_id: str, kind: Kind = Kind.CAPTURE, second: int = 0) -> Transaction:
    return Transaction(
        key=f"{order_id}:{kind}",
        order_id=order_id,
        kind=kind,
        amount=1999,
        currency="EUR",
        status=Status.CAPTURED if kind is Kind.CAPTURE else Status.REFUNDED,
        id=f"pi_{order_id}",
        at=BEGAN + timedelta(seconds=second),
    )


def test_it_is_found_by_order_the_oldest_first_and_page_by_page() -> None:
    with closing(Listed()) as listed:
        for each in (done("o2"), done("o1"), done("o3"), done("o1", Kind.REFUND, second=60)):
            listed.add(each)
        assert [(entry.id, entry.kind) for entry in listed.of("o1")] == [
            ("o1:capture", Kind.CAPTURE),
            ("o1:refund", Kind.REFUND),
        ]
        assert listed.of("o1")[1].at == BEGAN + timedelta(minutes=1)
        assert listed.of("o4") == []
        assert [listed.after("", 2), listed.after("o2", 2), listed.after("o3", 2)] == [
            ["o1", "o2"],
            ["o3"],
            [],
        ]


def test_however_much_it_is_it_is_not_held_in_memory() -> None:
    tracemalloc.start()
    try:
        with closing(Listed()) as listed:
            for number in range(20_000):
                listed.add(done(f"o{number:05}"))
            _, most = tracemalloc.get_traced_memory()
            assert listed.of("o19999")
    finally:
        tracemalloc.stop()
    # 20,000 of them would be some 20 MB.
    assert most < 1_000_000, most


def paid(transaction_id: str) -> Payment:
    return Payment(
        id="o1",
        state=PaymentState.CAPTURED,
        transaction_id=transaction_id,
        created_at=BEGAN,
        updated_at=BEGAN,
    )


def test_who_is_not_told_of_stripe_is_told_what_to_set_where_it_took_the_money() -> None:
    check_played([paid(""), paid("txn_1"), paid("free")])
    with pytest.raises(
        NoAccessError, match=r"order o1 .*Stripe \(pi_3\): set PAYMENT_GATEWAY=stripe and STRIPE"
    ):
        check_played([paid("txn_1"), paid("pi_3")])
