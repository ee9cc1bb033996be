"""What `sagactl check` reads where Stripe takes the money: a double of it, beside payments in a database."""

from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime

import pytest
import pytest_asyncio
from pymongo.asynchronous.database import AsyncDatabase

from dev.stripe_double import ledger as double_ledger
from dev.stripe_double.server import running
from sagactl.access import NoAccessError
from sagactl.oncall.bank import opened
from sagactl.oncall.books import Books
from sagactl.oncall.invariants import Case, Invariant, check_case
from services.payment.gateway import Captured, Charge, Gateway, Refund, Refunded
from services.payment.payment import Payment, PaymentRefund, PaymentState, RefundState
from services.payment.stripe_gateway import StripeGateway
from services.shared.database.new_id import new_id
from services.shared.database.store import Document, to_document
from tests.integration.room import Room

SETTINGS = ("PAYMENT_GATEWAY", "STRIPE_API_KEY", "STRIPE_API_URL")
KEPT, BACK, LESS, STRANGE = sorted(new_id() for _ in range(4))


class RoomsBooks(Books):
    """With the databases of one test."""

    def __init__(self, room: Room, gateway: Gateway | None) -> None:
        super().__init__(room.mongodb, gateway)
        self._room = room

    def of(self, service: str) -> AsyncDatabase[Document]:
        return self._room.database(service)


def payment(order_id: str, charge: Captured, amount: int, *refunds: PaymentRefund) -> Payment:
    now = datetime.now(UTC)
    state = PaymentState.REFUNDED if refunds else PaymentState.CAPTURED
    return Payment(
        id=order_id,
        state=state,
        amount=amount,
        currency="EUR",
        transaction_id=charge.transaction_id,
        refunds=refunds,
        created_at=now,
        updated_at=now,
    )


@pytest_asyncio.fixture
async def books(room: Room, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Books]:
    """Of four charges: one as we say, one given back, one of another amount, one that we know nothing of."""
    async with running() as double:
        for name, value in zip(SETTINGS, ("stripe", "sk_test_of_the_double", double.url), strict=True):
            monkeypatch.setenv(name, value)
        stripe = StripeGateway("sk_test_of_the_double", return_url="https://shop.example", url=double.url)
        charges: dict[str, Captured] = {}
        for order_id in (KEPT, BACK, LESS, STRANGE):
            charge = Charge(
                key=f"{order_id}:capture",
                order_id=order_id,
                amount=1999,
                currency="EUR",
                token=double_ledger.VISA,
            )
            answer = await stripe.capture(charge)
            assert isinstance(answer, Captured)
            charges[order_id] = answer
        refund = await stripe.refund(
            Refund(
                key=f"{BACK}:refund",
                charge_key=f"{BACK}:capture",
                charge_reference=charges[BACK].transaction_id,
                order_id=BACK,
                amount=1999,
                currency="EUR",
            )
        )
        assert isinstance(refund, Refunded)
        await stripe.close()
        back = PaymentRefund(
            request_id="", amount=1999, state=RefundState.REFUNDED, refund_id=refund.refund_id
        )
        payments = [
            payment(KEPT, charges[KEPT], 1999),
            payment(BACK, charges[BACK], 1999, back),
            payment(LESS, charges[LESS], 1998),
        ]
        await room.database("payment")[Payment.collection].insert_many(map(to_document, payments))
        async with opened() as gateway:
            yield RoomsBooks(room, gateway)


def of_money(cases: Iterable[Case]) -> dict[str, list[str]]:
    """What is wrong of each."""
    return {
        case.id: [each.what for each in check_case(case) if each.invariant is Invariant.MONEY_AGREES]
        for case in cases
    }


async def test_stripe_is_asked_what_it_did_for_all_orders_and_for_some(books: Books) -> None:
    wrong = {
        KEPT: [],
        BACK: [],
        LESS: ["capture of 1999 EUR there, 1998 EUR here (minor units)"],
        STRANGE: ["the gateway knows a payment that we do not"],
    }
    assert of_money([case async for case in books.cases()]) == wrong
    assert of_money([case async for page in books.pages(BACK) for case in page]) == {
        id_: wrong[id_] for id_ in (LESS, STRANGE)
    }
    assert of_money(await books.these(list(wrong))) == wrong
    (case,) = await books.these([BACK])
    assert [(entry.kind, entry.amount) for entry in case.ledger] == [("capture", 1999), ("refund", 1999)]


@pytest.mark.usefixtures("books")
async def test_without_the_setting_it_is_said_what_to_set(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mock's ledger is empty, and would make a finding of every payment."""
    monkeypatch.delenv("PAYMENT_GATEWAY")
    async with opened() as gateway:
        assert gateway is None
        books = RoomsBooks(room, gateway)
        with pytest.raises(NoAccessError, match=f"order {KEPT} .* set PAYMENT_GATEWAY=stripe"):
            await books.these([KEPT])
        with pytest.raises(NoAccessError, match="STRIPE_API_KEY"):
            await anext(books.cases())
        with pytest.raises(NoAccessError, match="STRIPE_API_KEY"):
            await books.payments_of([KEPT])
