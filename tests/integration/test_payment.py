"""The payment service and its mock gateway on real servers."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal
from typing import Any

import httpx
import pytest
import pytest_asyncio
from msgspec import structs
from pymongo.asynchronous.database import AsyncDatabase

from sagactl.polling import until
from services.payment import ledger, mock, queries, steps
from services.payment.effects import ASKING
from services.payment.gateway import (
    Authorized,
    Captured,
    Charge,
    Declined,
    GatewayRefused,
    GatewayUnavailable,
    Kind,
    Pending,
    Refund,
    Refunded,
    RefundRefused,
    Status,
    Voided,
)
from services.payment.ledger import Ledger, LedgerEntry
from services.payment.main import make_app
from services.payment.mock import MockGateway
from services.payment.payment import Payment, PaymentRefund, PaymentState, RefundState
from services.payment.settings import PaymentSettings
from services.payment.signatures import sign
from services.shared.contract.events import OrderCancelled, OrderConfirmed, PricedLine, RefundPayment
from services.shared.database.store import Store, connect, to_document
from services.shared.engine.asking import due
from tests.integration.issuer import Issuer
from tests.integration.room import PATIENCE, Room, running
from tests.integration.wires import Wires, wired

CONFIRMED = OrderConfirmed(
    order_id="order_1",
    total_price=Decimal("299.99"),
    currency="USD",
    products=(PricedLine("lamp", 1, Decimal("299.99")),),
    payment_token="tok_success",
    customer_id="alice",
)
LONG_AGO = datetime.now(UTC) - timedelta(days=1)
CANCELLED = OrderCancelled(order_id="order_1", reason="SAGA_TIMEOUT", email="")
REFUND = RefundPayment(order_id="order_1", amount=Decimal("299.99"), currency="USD", reason="LATE_PAYMENT")
CHARGE = Charge(key="order_1:capture", order_id="order_1", amount=29999, currency="USD", token=None)
GIVE_BACK = Refund(
    key="order_1:refund", charge_key=CHARGE.key, order_id="order_1", amount=29999, currency="USD"
)


@pytest_asyncio.fixture
async def client(room: Room, issuer: Issuer) -> AsyncIterator[httpx.AsyncClient]:
    mock = {
        "payment_gateway": "mock",
        "payment_test_tokens": True,
        "payment_webhook_secret": SECRET,
        "payment_webhook_secret_other": "whsec_to_come",
    }
    settings = PaymentSettings(**room.settings("payment") | mock, jwks_url=issuer.jwks_url)
    async with running(make_app(settings)) as client:
        yield client


@pytest_asyncio.fixture
async def wires(client: httpx.AsyncClient, room: Room) -> AsyncIterator[Wires]:
    assert client
    async with wired(room) as wires:
        yield wires


def database(room: Room) -> AsyncDatabase[dict[str, Any]]:
    return room.database("payment")


async def entries(room: Room) -> dict[str, dict[str, Any]]:
    """The gateway's ledger, by key."""
    found = await database(room)[ledger.COLLECTION].find().to_list()
    return {entry["_id"]: entry for entry in found}


async def becomes(room: Room, state: str) -> None:
    async def so() -> bool:
        return await database(room)["payments"].count_documents({"_id": "order_1", "state": state}) == 1

    await until(so, within=PATIENCE, what=f"payment {state}")


# --- what is counted -----------------------------------------------------------------------------------


async def test_refunds_under_way_are_counted_without_reading_the_payments_that_are_over(room: Room) -> None:
    store = Store(room.mongodb, room.database_name("payment"))
    await store.prepare(queries.INDEXES)
    over = [payment(number, PaymentState.CAPTURED) for number in range(50)]
    assert await queries.oldest_refund(store) is None
    open_ = [payment(100 + number, PaymentState.REFUNDING) for number in range(3)]
    refused = PaymentRefund(amount=0, state=RefundState.REFUSED, ask_at=open_[0].created_at)
    open_[1] = structs.replace(open_[1], refunds=(refused,), ask_at=refused.ask_at)
    await store.collection(Payment).insert_many(to_document(each) for each in [*over, *open_])
    await store.database.command("profile", 2)
    assert await queries.count_refunds(store) == 3
    assert await queries.oldest_refund(store) == payment(100, PaymentState.REFUNDING).intended_at
    assert await queries.count_refused(store) == 1
    assert [each["_id"] for each in await due(store, ASKING, datetime.now(UTC))] == ["order_101"]
    assert await due(store, ASKING, open_[0].created_at - timedelta(seconds=1)) == []
    await store.database.command("profile", 0)
    asked = {"ns": f"{store.database.name}.payments", "planSummary": {"$exists": True}}
    plans = await store.database["system.profile"].find(asked).to_list()
    assert len(plans) == 5
    assert all(plan["keysExamined"] <= 4 and plan["docsExamined"] <= 3 for plan in plans), plans


def payment(number: int, state: PaymentState) -> Payment:
    at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=number)
    return Payment(id=f"order_{number}", state=state, intended_at=at, created_at=at, updated_at=at)


# --- the service --------------------------------------------------------------------------------------------


async def test_a_confirmed_order_is_charged_once(wires: Wires, room: Room) -> None:
    id_ = await wires.send(CONFIRMED)
    succeeded = await wires.hear("PAYMENT_SUCCEEDED")
    assert (succeeded["amount"], succeeded["currency"]) == ("299.99", "USD")
    (entry,) = (await entries(room)).values()
    assert entry.pop("at")
    assert entry == {
        "_id": "order_1:capture",
        "orderId": "order_1",
        "kind": "capture",
        "amount": 29999,
        "currency": "USD",
        "status": "captured",
        "transactionId": succeeded["transactionId"],
    }
    await wires.send(CONFIRMED, id_)
    await wires.hear_nothing("PAYMENT_SUCCEEDED", during=0.5)
    await wires.send(CONFIRMED)
    assert await wires.hear("PAYMENT_SUCCEEDED") == succeeded
    assert len(await entries(room)) == 1


async def test_a_declined_charge_says_why(wires: Wires, room: Room) -> None:
    await wires.send(structs.replace(CONFIRMED, payment_token="tok_declined"))
    assert (await wires.hear("PAYMENT_FAILED"))["reason"] == "Mock gateway declined the payment"
    assert (await entries(room))["order_1:capture"]["status"] == "declined"


async def test_an_older_publishers_order_without_an_envelope_is_charged(wires: Wires) -> None:
    product = {"productId": "product_1", "quantity": 2, "price": 99.99}
    order = {"orderId": "order_123", "totalPrice": 199.98, "currency": "USD", "products": [product]}
    await wires.send_as_is("STOCK_RESERVED", order | {"paymentToken": "tok_success"})
    assert (await wires.hear("PAYMENT_SUCCEEDED"))["amount"] == "199.98"


async def test_a_cancelled_order_is_not_charged(wires: Wires, room: Room) -> None:
    await wires.send(CANCELLED)
    await becomes(room, "VOIDED")
    await wires.send(CONFIRMED)
    await wires.hear_nothing("PAYMENT_SUCCEEDED", "PAYMENT_FAILED", during=0.5)
    assert await entries(room) == {}


async def test_a_refund_gives_back_what_was_captured_once(wires: Wires, room: Room) -> None:
    await wires.send(CONFIRMED)
    await wires.hear("PAYMENT_SUCCEEDED")
    await wires.send(REFUND)
    refunded = await wires.hear("PAYMENT_REFUNDED")
    await wires.send(REFUND)
    assert await wires.hear("PAYMENT_REFUNDED") == refunded
    found = await entries(room)
    assert {key: entry["status"] for key, entry in found.items()} == {
        "order_1:capture": "captured",
        "order_1:refund": "refunded",
    }
    assert refunded["refundId"] == found["order_1:refund"]["transactionId"]


async def test_an_intent_that_a_dead_process_left_is_resolved(
    room: Room, issuer: Issuer, client: httpx.AsyncClient, wires: Wires
) -> None:
    """It had written down what it was about to do, and had done it."""
    await gateway(room).capture(structs.replace(CHARGE, token="tok_success"))
    await wires.send(structs.replace(CONFIRMED, payment_token="tok_declined"))
    await wires.hear("PAYMENT_SUCCEEDED")
    answer = await client.get("/api/payments/order_1", headers=issuer.headers("alice"))
    assert answer.json()["status"] == "CAPTURED"


async def test_what_was_captured_before_a_cancellation_is_told_so_that_it_goes_back(
    wires: Wires, room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The card is slow to answer; asked to call it off, the gateway says that the money is taken."""
    monkeypatch.setattr(mock, "SLOW_SECONDS", 5.0)
    await wires.send(structs.replace(CONFIRMED, payment_token="tok_slow"))
    await has_entry(room, "captured")
    await wires.send(CANCELLED)
    await wires.hear("PAYMENT_SUCCEEDED")
    await becomes(room, "CAPTURED")


async def test_an_order_cancelled_while_the_gateway_is_away_is_never_charged(
    wires: Wires, room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mock, "ERROR_SECONDS", 10_000)
    await wires.send(structs.replace(CONFIRMED, payment_token="tok_error"))
    await becomes(room, "CAPTURING")
    await wires.send(CANCELLED)
    await becomes(room, "VOIDED")
    monkeypatch.setattr(mock, "ERROR_SECONDS", 0)
    await wires.send(structs.replace(CONFIRMED, payment_token="tok_error"))
    await wires.hear_nothing("PAYMENT_SUCCEEDED", "PAYMENT_FAILED", during=2)
    assert [entry["status"] for entry in (await entries(room)).values()] == ["voided"]


async def has_entry(room: Room, status: str) -> None:
    async def so() -> bool:
        return [entry["status"] for entry in (await entries(room)).values()] == [status]

    await until(so, within=PATIENCE, what=f"a charge {status} at the gateway")


# --- payments that are decided on later --------------------------------------------------------------------

SECRET = "whsec_of_the_shop"


async def webhook(client: httpx.AsyncClient, secret: str = SECRET, **changes: Any) -> httpx.Response:
    event = {"id": "evt_1", "order_id": "order_1", "about": "charge"} | changes
    body = json.dumps(event).encode()
    headers = {mock.SIGNATURE: sign(body, secret, int(time.time())), "content-type": "application/json"}
    return await client.post("/api/payments/webhooks/mock", content=body, headers=headers)


async def ask_at(room: Room) -> datetime | None:
    (payment,) = await database(room)["payments"].find().to_list()
    found: datetime | None = payment["askAt"]
    return found


@pytest.mark.parametrize("token", ["tok_pending", "tok_action"])
async def test_a_payment_that_is_decided_on_later_is_told_and_looked_up(
    wires: Wires, room: Room, monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    monkeypatch.setattr(steps, "FIRST_PAUSE", timedelta(milliseconds=100))
    monkeypatch.setattr(mock, "LATER", dict.fromkeys(mock.LATER, timedelta(seconds=1)))
    await wires.send(structs.replace(CONFIRMED, payment_token=token))
    pending = await wires.hear("PAYMENT_PENDING")
    assert pending.get("nextAction", {}).get("type") == ("redirect" if token == "tok_action" else None)
    assert (await wires.hear("PAYMENT_SUCCEEDED"))["transactionId"] == pending["transactionId"]
    await becomes(room, "CAPTURED")
    assert await ask_at(room) is None


async def test_payments_of_a_later_release_keep_no_other_from_being_looked_up(
    wires: Wires, room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More of them than are looked at together, and in front of it."""
    later = [{"_id": f"later-{number}", "state": "OF_A_LATER_RELEASE", "version": 1} for number in range(60)]
    await database(room)["payments"].insert_many(each | {"askAt": LONG_AGO} for each in later)
    monkeypatch.setattr(steps, "FIRST_PAUSE", timedelta(milliseconds=100))
    monkeypatch.setattr(mock, "LATER", dict.fromkeys(mock.LATER, timedelta(seconds=1)))
    await wires.send(structs.replace(CONFIRMED, payment_token="tok_pending"))
    await wires.hear("PAYMENT_SUCCEEDED")
    await becomes(room, "CAPTURED")
    left = database(room)["payments"].find({"state": "OF_A_LATER_RELEASE"}, {"askAt": 0})
    assert await left.sort("_id").to_list() == sorted(later, key=lambda each: str(each["_id"]))


async def test_a_webhook_has_it_looked_up_at_once_and_is_believed_of_nothing(
    client: httpx.AsyncClient, wires: Wires, room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps, "FIRST_PAUSE", timedelta(hours=1))
    monkeypatch.setattr(mock, "LATER", dict.fromkeys(mock.LATER, timedelta(minutes=30)))
    await wires.send(structs.replace(CONFIRMED, payment_token="tok_pending"))
    await wires.hear("PAYMENT_PENDING")
    assert (await webhook(client, id="evt_too_early")).json() == {"outcome": "heard"}

    async def looked_up() -> bool:
        (payment,) = await database(room)["payments"].find().to_list()
        return bool(payment["state"] == "PENDING" and payment["asked"] > 2)

    await until(looked_up, within=PATIENCE, what="another look")
    monkeypatch.setattr(mock, "datetime", Later)
    assert (await webhook(client)).json() == {"outcome": "heard"}
    assert (await webhook(client)).json() == {"outcome": "known"}
    await wires.hear("PAYMENT_SUCCEEDED")
    assert (await webhook(client, id="evt_late")).json() == {"outcome": "known"}


async def test_a_webhook_that_is_not_the_gateways_or_not_for_us_changes_nothing(
    client: httpx.AsyncClient,
) -> None:
    forged = await webhook(client, secret="another")
    assert (forged.status_code, forged.json()["code"]) == (400, "signature-refused")
    assert (await webhook(client, secret="whsec_to_come")).status_code == 200
    assert (await webhook(client, order_id="nobodys")).json() == {"outcome": "unknown payment"}
    other = await client.post("/api/payments/webhooks/stripe", json={})
    assert other.status_code == 404


async def test_a_payment_that_is_pending_is_called_off_with_its_order(wires: Wires, room: Room) -> None:
    await wires.send(structs.replace(CONFIRMED, payment_token="tok_pending"))
    await wires.hear("PAYMENT_PENDING")
    await wires.send(CANCELLED)
    await becomes(room, "VOIDED")
    assert [entry["status"] for entry in (await entries(room)).values()] == ["voided"]


async def test_a_slow_charge_holds_up_nobody(wires: Wires) -> None:
    await wires.send(structs.replace(CONFIRMED, order_id="slow", payment_token="tok_slow"))
    await wires.send(CONFIRMED)
    assert (await wires.hear("PAYMENT_SUCCEEDED"))["orderId"] == "order_1"


async def test_a_gateway_that_fails_for_a_while_charges_in_the_end(
    wires: Wires, room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mock, "ERROR_SECONDS", 0.5)
    await wires.send(structs.replace(CONFIRMED, payment_token="tok_error"))
    await becomes(room, "CAPTURING")
    assert (await wires.hear("PAYMENT_SUCCEEDED"))["orderId"] == "order_1"
    assert len(await entries(room)) == 1


async def test_a_payment_is_shown_to_its_owner_and_to_administrators_only(
    client: httpx.AsyncClient, issuer: Issuer, wires: Wires
) -> None:
    await wires.send(CONFIRMED)
    succeeded = await wires.hear("PAYMENT_SUCCEEDED")
    url = "/api/payments/order_1"
    assert (await client.get(url)).status_code == 401
    assert (await client.get(url, headers=issuer.headers("mallory"))).status_code == 404
    owner = await client.get(url, headers=issuer.headers("alice"))
    body = owner.json()
    assert body.pop("createdAt") <= body.pop("updatedAt")
    assert body == {
        "orderId": "order_1",
        "status": "CAPTURED",
        "amount": "299.99",
        "currency": "USD",
        "transactionId": succeeded["transactionId"],
        "refundId": None,
        "reason": None,
    }
    admin = await client.get(url, headers=issuer.headers("boss", admin=True))
    assert admin.json() == owner.json() | {"cancelRequested": False, "attention": []}


async def test_a_payment_of_nobody_known_is_shown_to_administrators_only(
    client: httpx.AsyncClient, issuer: Issuer, wires: Wires, room: Room
) -> None:
    await wires.send(CANCELLED)
    await becomes(room, "VOIDED")
    url = "/api/payments/order_1"
    assert (await client.get(url, headers=issuer.headers("alice"))).status_code == 404
    body = (await client.get(url, headers=issuer.headers("boss", admin=True))).json()
    assert (body["status"], body["amount"], body["currency"]) == ("VOIDED", None, None)


# --- the mock gateway ---------------------------------------------------------------------------------------


def gateway(room: Room, success_rate: float = 1, *, test_tokens: bool = True) -> MockGateway:
    entered = Ledger(database(room)[ledger.COLLECTION])
    return MockGateway(entered, success_rate=success_rate, delay_seconds=0, test_tokens=test_tokens)


def charges(count: int) -> list[Charge]:
    return [structs.replace(CHARGE, key=f"{n}:capture", order_id=str(n)) for n in range(count)]


async def test_a_key_replayed_gets_what_it_got_whatever_the_odds_are_now(room: Room) -> None:
    captured = await gateway(room, success_rate=1).capture(CHARGE)
    assert await gateway(room, success_rate=0).capture(CHARGE) == captured
    assert await gateway(room).lookup(CHARGE.key) == captured
    assert isinstance(captured, Captured)


@pytest.mark.parametrize("token", [mock.SUCCESS, mock.DECLINED, mock.SLOW, mock.ERROR])
async def test_a_test_token_says_nothing_unless_test_tokens_are_switched_on(room: Room, token: str) -> None:
    """Else whoever buys decides what a charge does, and how long it takes."""
    charge = structs.replace(CHARGE, token=token)
    async with asyncio.timeout(mock.SLOW_SECONDS / 2):
        accepted = await gateway(room, 1, test_tokens=False).capture(charge)
        refused = await gateway(room, 0, test_tokens=False).capture(structs.replace(charge, key="another"))
    assert (type(accepted), type(refused)) == (Captured, Declined)


async def test_a_decline_replayed_is_a_decline(room: Room) -> None:
    declined = await gateway(room, success_rate=0).capture(CHARGE)
    assert isinstance(declined, Declined)
    assert await gateway(room, success_rate=1).capture(CHARGE) == declined


async def test_a_key_replayed_at_the_same_time_is_charged_once(room: Room) -> None:
    same = gateway(room)
    results = await asyncio.gather(*(same.capture(CHARGE) for _ in range(5)), gateway(room).capture(CHARGE))
    assert len(set(map(str, results))) == 1
    assert len(await entries(room)) == 1


@pytest.mark.parametrize("change", [{"amount": 1}, {"currency": "EUR"}, {"order_id": "other"}])
async def test_a_key_replayed_for_something_else_is_an_error(room: Room, change: dict[str, Any]) -> None:
    await gateway(room).capture(CHARGE)
    with pytest.raises(GatewayRefused, match="was used for another capture"):
        await gateway(room).capture(structs.replace(CHARGE, **change))


async def test_charges_succeed_at_their_rate_by_their_key_alone(room: Room) -> None:
    made = charges(400)
    mixed = gateway(room, success_rate=0.9)
    first = await asyncio.gather(*map(mixed.capture, made))
    await database(room)[ledger.COLLECTION].delete_many({})
    assert await asyncio.gather(*map(mixed.capture, made)) == first
    assert 330 <= sum(isinstance(result, Captured) for result in first) <= 385


async def test_charges_made_at_the_same_time_are_written_together(room: Room) -> None:
    before = await _inserts(room)
    await asyncio.gather(*map(gateway(room).capture, charges(100)))
    assert len(await entries(room)) == 100
    assert await _inserts(room) - before <= 3


async def _inserts(room: Room) -> int:
    status = await room.mongodb.admin.command("serverStatus")
    return int(status["metrics"]["commands"]["insert"]["total"])


async def test_only_what_was_captured_can_be_refunded(room: Room) -> None:
    mocked = gateway(room)
    with pytest.raises(GatewayRefused, match="no capture"):
        await mocked.refund(GIVE_BACK)
    await mocked.capture(structs.replace(CHARGE, token="tok_declined"))
    with pytest.raises(GatewayRefused, match="no capture"):
        await mocked.refund(GIVE_BACK)


async def test_a_refund_replayed_is_made_once(room: Room) -> None:
    mocked = gateway(room)
    await mocked.capture(CHARGE)
    refunded = await mocked.refund(GIVE_BACK)
    assert await mocked.refund(GIVE_BACK) == refunded
    assert await mocked.lookup(GIVE_BACK.key) == refunded
    with pytest.raises(GatewayRefused, match="used for another refund"):
        await mocked.refund(structs.replace(GIVE_BACK, amount=1))


async def test_parts_are_refunded_up_to_what_was_captured(room: Room) -> None:
    mocked = gateway(room)
    await mocked.capture(CHARGE)
    some = structs.replace(GIVE_BACK, key="order_1:refund:some", amount=9999)
    first = await mocked.refund(some)
    with pytest.raises(GatewayRefused, match="no capture of 20001 USD"):
        await mocked.refund(structs.replace(GIVE_BACK, key="order_1:refund:more", amount=20001))
    rest = await mocked.refund(structs.replace(GIVE_BACK, key="order_1:refund:rest", amount=20000))
    assert isinstance(rest, Refunded)
    assert rest != first
    assert await mocked.refund(some) == first


async def test_a_card_whose_refunds_are_refused_twice_says_the_same_under_the_same_key(room: Room) -> None:
    mocked = gateway(room)
    await mocked.capture(structs.replace(CHARGE, token="tok_refund_refused"))
    keys = [GIVE_BACK.key, f"{GIVE_BACK.key}:1", f"{GIVE_BACK.key}:2"]
    answers = [await mocked.refund(structs.replace(GIVE_BACK, key=key)) for key in keys]
    assert [type(answer) for answer in answers] == [RefundRefused, RefundRefused, Refunded]
    assert [await mocked.refund(structs.replace(GIVE_BACK, key=key)) for key in keys] == answers
    assert [await mocked.lookup(key) for key in keys] == answers


async def test_once_it_is_called_off_nothing_is_captured_under_a_key(room: Room) -> None:
    mocked = gateway(room)
    voided = await mocked.void(CHARGE)
    assert isinstance(voided, Voided)
    assert await mocked.capture(CHARGE) == await mocked.lookup(CHARGE.key) == voided


async def test_what_was_captured_is_not_called_off(room: Room) -> None:
    captured = await gateway(room).capture(CHARGE)
    assert await gateway(room).void(CHARGE) == captured


async def test_a_void_and_captures_at_the_same_time_agree(room: Room) -> None:
    asks = [gateway(room).capture(CHARGE) for _ in range(3)] + [gateway(room).void(CHARGE) for _ in range(3)]
    answers = await asyncio.gather(*asks)
    assert len(set(answers)) == 1


async def test_money_that_is_held_is_taken_or_let_go(room: Room) -> None:
    mocked, other = gateway(room), structs.replace(CHARGE, key="other:capture")
    for charge in (CHARGE, other):
        assert isinstance(await mocked.authorize(charge), Authorized)
        assert isinstance(await mocked.authorize(charge), Authorized)
    assert isinstance(await mocked.capture(CHARGE), Captured)
    assert isinstance(await mocked.void(other), Voided)
    assert isinstance(await mocked.capture(other), Voided)


async def test_what_is_decided_later_is_decided_once_somebody_asks(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    mocked, charge = gateway(room), structs.replace(CHARGE, token=mock.ACTION)
    pending = await mocked.capture(charge)
    assert isinstance(pending, Pending)
    assert pending.next_action is not None
    assert pending.next_action.url.startswith(mock.ACTION_URL)
    assert await mocked.lookup(charge.key) == await mocked.capture(charge) == pending
    monkeypatch.setattr(mock, "datetime", Later)
    assert await mocked.lookup(charge.key) == Captured(pending.transaction_id)
    assert await mocked.void(charge) == Captured(pending.transaction_id)


class Later(datetime):
    @classmethod
    def now(cls, tz: tzinfo | None = None) -> "Later":
        return cls.fromtimestamp(time.time() + 3600, tz)


async def test_what_was_never_done_is_not_found(room: Room) -> None:
    assert await gateway(room).lookup("unknown") is None


async def test_the_gateway_tells_what_it_has_done_the_oldest_first(room: Room) -> None:
    mocked = gateway(room)
    await mocked.capture(structs.replace(CHARGE, key="other:capture", order_id="other", token="tok_declined"))
    captured = await mocked.capture(CHARGE)
    before_the_refund = datetime.now(UTC)
    refunded = await mocked.refund(GIVE_BACK)
    told = [each async for each in mocked.transactions(LONG_AGO)]
    assert [(each.kind, each.status) for each in told] == [
        (Kind.CAPTURE, Status.DECLINED),
        (Kind.CAPTURE, Status.CAPTURED),
        (Kind.REFUND, Status.REFUNDED),
    ]
    assert isinstance(captured, Captured)
    assert isinstance(refunded, Refunded)
    assert [each.id for each in told[1:]] == [captured.transaction_id, refunded.refund_id]
    assert [each.amount for each in told] == [CHARGE.amount] * 3
    assert [each.kind async for each in mocked.transactions(before_the_refund)] == [Kind.REFUND]


async def test_a_ledger_that_is_away_leaves_the_outcome_unknown() -> None:
    async with connect("mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=50") as client:
        entered = Ledger(client["away"][ledger.COLLECTION])
        away = MockGateway(entered, success_rate=1, delay_seconds=0, test_tokens=True)
        results = await asyncio.gather(
            away.capture(CHARGE),
            away.refund(GIVE_BACK),
            away.lookup("key"),
            anext(away.transactions(LONG_AGO)),
            return_exceptions=True,
        )
    assert [type(result) for result in results] == [GatewayUnavailable] * 4


ENTRY = LedgerEntry(
    id="1:capture",
    order_id="1",
    kind=Kind.CAPTURE,
    amount=1,
    currency="USD",
    status=Status.CAPTURED,
    transaction_id="txn_1",
)


async def test_whoever_gives_up_waiting_does_not_disturb_the_others(room: Room) -> None:
    shared = Ledger(database(room)[ledger.COLLECTION])
    impatient = asyncio.create_task(shared.enter(ENTRY))
    patient = asyncio.create_task(shared.enter(structs.replace(ENTRY, id="2:capture")))
    await asyncio.sleep(0)
    impatient.cancel()
    assert (await patient).id == "2:capture"
    assert "2:capture" in await entries(room)


async def test_an_entry_that_cannot_be_written_holds_up_no_other(room: Room) -> None:
    shared = Ledger(database(room)[ledger.COLLECTION])
    too_large = structs.replace(ENTRY, amount=2**64)
    async with asyncio.timeout(10):
        refused, entered = await asyncio.gather(
            shared.enter(too_large),
            shared.enter(structs.replace(ENTRY, id="2:capture")),
            return_exceptions=True,
        )
    assert isinstance(refused, OverflowError)
    assert isinstance(entered, LedgerEntry)
    assert set(await entries(room)) == {"2:capture"}
