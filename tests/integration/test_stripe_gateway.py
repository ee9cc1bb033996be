"""The Stripe adapter against a local server that speaks Stripe's endpoints: a double, not Stripe."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio
import stripe
from msgspec import structs

from dev.stripe_double import ledger as double_ledger
from dev.stripe_double.server import Mishap, StripeDouble, running
from services.payment import stripe_gateway
from services.payment.gateway import (
    About,
    Authorized,
    BadSignature,
    Captured,
    Charge,
    Declined,
    GatewayRefused,
    GatewayUnavailable,
    Heard,
    Kind,
    Pending,
    Refund,
    Refunded,
    RefundPending,
    RefundRefused,
    Status,
    Voided,
)
from services.payment.signatures import sign
from services.payment.stripe_gateway import StripeGateway

CHARGE = Charge(key="o1:capture", order_id="o1", amount=1999, currency="EUR", token=double_ledger.VISA)
SECRET = "whsec_of_the_double"


@pytest_asyncio.fixture
async def double() -> AsyncIterator[StripeDouble]:
    async with running() as double:
        yield double


@pytest_asyncio.fixture
async def gateway(double: StripeDouble) -> AsyncIterator[StripeGateway]:
    gateway = StripeGateway(
        "sk_test_of_the_double",
        return_url="https://shop.example/paid",
        webhook_secrets=[SECRET],
        url=double.url,
    )
    yield gateway
    await gateway.close()


def refund_of(charge: Captured, key: str = "o1:refund", amount: int = 1999) -> Refund:
    return Refund(
        key=key,
        charge_key=CHARGE.key,
        charge_reference=charge.transaction_id,
        order_id="o1",
        amount=amount,
        currency="EUR",
    )


async def captured(gateway: StripeGateway, token: str = double_ledger.VISA) -> Captured:
    answer = await gateway.capture(structs.replace(CHARGE, token=token))
    assert isinstance(answer, Captured)
    return answer


# --- charges -----------------------------------------------------------------------------------------------


async def test_a_charge_is_made_once_however_often_it_is_asked_for(
    gateway: StripeGateway, double: StripeDouble
) -> None:
    first = await captured(gateway)
    assert await gateway.capture(CHARGE) == first
    (intent,) = double.ledger.intents.values()
    assert (intent["amount"], intent["amount_received"], intent["currency"]) == (1999, 1999, "eur")
    assert intent["metadata"] == {"key": "o1:capture", "order_id": "o1"}


@pytest.mark.parametrize("mishap", [Mishap.DOWN, Mishap.BROKEN])
@pytest.mark.parametrize("before", [0, 1])
async def test_what_was_lost_on_the_way_is_asked_for_again_and_made_once(
    gateway: StripeGateway, double: StripeDouble, mishap: Mishap, before: int
) -> None:
    double.mishaps = [Mishap.NOTHING] * before + [mishap]
    with pytest.raises(GatewayUnavailable):
        await gateway.capture(CHARGE)
    assert isinstance(await gateway.capture(CHARGE), Captured)
    assert double.ledger.kept("o1") == 1999
    assert len(double.ledger.intents) == 1


@pytest.mark.parametrize(("before", "answer"), [(0, Declined), (1, Voided)])
async def test_what_stripe_failed_over_for_good_is_an_end_too(
    gateway: StripeGateway, double: StripeDouble, before: int, answer: type
) -> None:
    double.mishaps = [Mishap.NOTHING] * before + [Mishap.BROKEN_FOR_GOOD]
    first = await asyncio.gather(gateway.capture(CHARGE), return_exceptions=True)
    assert isinstance(first[0], GatewayUnavailable | answer)
    assert isinstance(await gateway.capture(CHARGE), answer)
    assert isinstance(await gateway.void(CHARGE), Voided)
    assert double.ledger.kept("o1") == 0


async def test_who_hangs_is_not_waited_for_for_ever(
    gateway: StripeGateway, double: StripeDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stripe_gateway, "TIMEOUT_SECONDS", 0.2)
    impatient = StripeGateway("sk_test_of_the_double", return_url="", url=double.url)
    double.mishaps = [Mishap.HANGS]
    with pytest.raises(GatewayUnavailable):
        await impatient.capture(CHARGE)
    await impatient.close()
    assert isinstance(await gateway.capture(CHARGE), Captured)


async def test_a_card_that_is_declined_is_not_tried_again(
    gateway: StripeGateway, double: StripeDouble
) -> None:
    charge = structs.replace(CHARGE, token=double_ledger.DECLINED)
    declined = await gateway.capture(charge)
    assert declined == Declined("pi_00000000", "Your card was declined.")
    assert await gateway.capture(charge) == await gateway.lookup(charge.key) == declined
    assert double.ledger.intents["pi_00000000"]["status"] == "canceled"
    assert sum(request.endswith("/confirm") for request in double.requests) == 1


@pytest.mark.parametrize(
    ("change", "answer"),
    [
        ({"token": None}, Voided("pi_00000000")),
        ({"token": "pm_nobodys"}, Voided("pi_00000000")),
        ({"amount": 1}, Declined("", "Amount must be at least 50 cents")),
        ({"currency": "KWD", "amount": 5123}, Declined("", "5.123 KWD is no amount that can be charged")),
    ],
)
async def test_what_can_never_be_charged_is_an_end_and_no_dead_letter(
    gateway: StripeGateway, change: dict[str, Any], answer: object
) -> None:
    charge = structs.replace(CHARGE, **change)
    assert await gateway.capture(charge) == answer
    assert isinstance(await gateway.void(charge), Voided)


async def test_a_token_of_a_card_is_as_good_as_a_payment_method(
    gateway: StripeGateway, double: StripeDouble
) -> None:
    assert isinstance(await gateway.capture(structs.replace(CHARGE, token="tok_visa")), Captured)
    assert double.ledger.intents["pi_00000000"]["payment_method"] == "tok_visa"


@pytest.mark.parametrize(
    ("token", "url"),
    [
        (double_ledger.ACTION, "https://hooks.stripe.example/pi_00000000"),
        (double_ledger.PROCESSING, None),
    ],
)
async def test_what_is_decided_later_is_looked_up_by_its_name_or_its_key(
    gateway: StripeGateway, double: StripeDouble, token: str, url: str | None
) -> None:
    charge = structs.replace(CHARGE, token=token)
    pending = await gateway.capture(charge)
    assert isinstance(pending, Pending)
    assert (pending.next_action and pending.next_action.url) == url
    assert await gateway.capture(charge) == await gateway.lookup(charge.key) == pending
    double.ledger.decide()
    assert await gateway.lookup(charge.key, pending.transaction_id) == Captured(pending.transaction_id)
    assert await gateway.capture(charge) == Captured(pending.transaction_id)


@pytest.mark.parametrize("token", [double_ledger.ACTION_FAILS, double_ledger.PROCESSING_FAILS])
async def test_what_fails_later_is_declined_for_good(
    gateway: StripeGateway, double: StripeDouble, token: str
) -> None:
    pending = await gateway.capture(structs.replace(CHARGE, token=token))
    double.ledger.decide()
    assert isinstance(pending, Pending)
    declined = Declined(pending.transaction_id, "Your card was declined.")
    assert await gateway.lookup(CHARGE.key, pending.transaction_id) == declined
    assert double.ledger.intents[pending.transaction_id]["status"] == "canceled"


async def test_money_is_held_before_it_is_taken(gateway: StripeGateway, double: StripeDouble) -> None:
    held = await gateway.authorize(CHARGE)
    assert held == Authorized("pi_00000000")
    assert double.ledger.kept("o1") == 0
    taken = structs.replace(CHARGE, token=None, reference=held.transaction_id)
    assert await gateway.capture(taken) == Captured("pi_00000000")
    assert await gateway.capture(taken) == Captured("pi_00000000")
    assert double.ledger.kept("o1") == 1999


# --- a void is a fence --------------------------------------------------------------------------------------


async def test_once_it_is_called_off_nothing_is_captured_under_a_key(
    gateway: StripeGateway, double: StripeDouble
) -> None:
    voided = await gateway.void(CHARGE)
    assert voided == Voided("pi_00000000")
    assert await gateway.capture(CHARGE) == await gateway.void(CHARGE) == voided
    assert double.ledger.kept("o1") == 0


@pytest.mark.parametrize("token", [double_ledger.ACTION, double_ledger.VISA])
async def test_what_waits_or_is_held_is_let_go(
    gateway: StripeGateway, double: StripeDouble, token: str
) -> None:
    there = await gateway.authorize(structs.replace(CHARGE, token=token))
    known = structs.replace(CHARGE, reference=there.transaction_id)
    assert await gateway.void(known) == Voided(there.transaction_id)
    double.ledger.decide()
    assert double.ledger.kept("o1") == 0


async def test_what_was_captured_or_cannot_be_called_off_yet_is_said_to_be(
    gateway: StripeGateway, double: StripeDouble
) -> None:
    there = await captured(gateway)
    assert await gateway.void(CHARGE) == there
    other = structs.replace(CHARGE, key="o2:capture", order_id="o2", token=double_ledger.PROCESSING)
    waits = await gateway.capture(other)
    assert await gateway.void(other) == waits == Pending("pi_00000001")
    double.ledger.decide()
    assert await gateway.void(other) == Captured("pi_00000001")


async def test_a_void_that_was_cut_off_in_the_middle_goes_on(
    gateway: StripeGateway, double: StripeDouble
) -> None:
    double.mishaps = [Mishap.NOTHING, Mishap.DOWN]
    with pytest.raises(GatewayUnavailable):
        await gateway.void(CHARGE)
    assert await gateway.void(CHARGE) == Voided("pi_00000000")


# --- refunds ------------------------------------------------------------------------------------------------


async def test_parts_are_refunded_once_each_and_never_more_than_was_captured(
    gateway: StripeGateway, double: StripeDouble
) -> None:
    charge = await captured(gateway)
    some = await gateway.refund(refund_of(charge, "o1:refund:some", 999))
    assert await gateway.refund(refund_of(charge, "o1:refund:some", 999)) == some == Refunded("re_00000000")
    with pytest.raises(GatewayRefused, match="greater than unrefunded"):
        await gateway.refund(refund_of(charge, "o1:refund:more", 1001))
    assert isinstance(await gateway.refund(refund_of(charge, "o1:refund:rest", 1000)), Refunded)
    assert double.ledger.kept("o1") == 0
    assert await gateway.lookup("o1:refund:some", charge.transaction_id) == some
    assert await gateway.lookup("o1:refund:none", charge.transaction_id) is None


async def test_a_refund_that_is_decided_later_is_asked_about_under_its_key(
    gateway: StripeGateway, double: StripeDouble
) -> None:
    charge = await captured(gateway, double_ledger.REFUND_PENDING)
    wanted = refund_of(charge)
    assert await gateway.refund(wanted) == await gateway.refund(wanted) == RefundPending()
    double.ledger.decide()
    assert await gateway.refund(wanted) == Refunded("re_00000000")


async def test_a_refund_that_failed_is_made_under_another_key(gateway: StripeGateway) -> None:
    charge = await captured(gateway, double_ledger.REFUND_FAILS)
    refused = await gateway.refund(refund_of(charge))
    assert refused == RefundRefused("expired_or_canceled_card")
    assert await gateway.refund(refund_of(charge)) == refused
    assert isinstance(await gateway.refund(refund_of(charge, "o1:refund:1")), Refunded)


# --- what it tells ------------------------------------------------------------------------------------------


async def test_a_key_used_for_something_else_is_nonsense(gateway: StripeGateway) -> None:
    await captured(gateway)
    with pytest.raises(GatewayRefused, match="same parameters"):
        await gateway.capture(structs.replace(CHARGE, amount=2000))


async def test_wrong_credentials_leave_the_outcome_unknown_until_they_are_put_right(
    double: StripeDouble,
) -> None:
    gateway = StripeGateway("wrong", return_url="", url=double.url)
    with pytest.raises(GatewayUnavailable):
        await gateway.capture(CHARGE)
    await gateway.close()


async def test_what_was_done_is_listed_the_oldest_first(
    gateway: StripeGateway, double: StripeDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = datetime.now(UTC)
    seconds = iter(range(100))
    monkeypatch.setattr(double.ledger, "now", lambda: start.timestamp() + next(seconds))
    charge = await captured(gateway)
    await gateway.refund(refund_of(charge))
    await gateway.void(structs.replace(CHARGE, key="o2:capture", order_id="o2"))
    told = [each async for each in gateway.transactions(start - timedelta(seconds=1))]
    assert [(each.kind, each.status, each.order_id) for each in told] == [
        (Kind.CAPTURE, Status.CAPTURED, "o1"),
        (Kind.REFUND, Status.REFUNDED, "o1"),
        (Kind.CAPTURE, Status.VOIDED, "o2"),
    ]
    assert (told[0].amount, told[0].currency, told[0].id) == (1999, "EUR", charge.transaction_id)
    assert [each async for each in gateway.transactions(start + timedelta(hours=1))] == []


async def test_what_was_done_in_years_is_told_in_its_order_and_not_read_to_the_end_first(
    gateway: StripeGateway, double: StripeDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stripe_gateway, "MOST_AT_ONCE", 8)
    # Years apart, some minutes, and more than is read at once in one second.
    seconds = [0, 63e6, *(63e6 + 300 * number for number in range(20)), *[64e6] * 12, 94e6]

    async def made(number: int, second: float) -> None:
        double.ledger.now = lambda: 1.6e9 + second
        await gateway.void(structs.replace(CHARGE, key=f"o{number}:capture", order_id=f"o{number}"))

    for number, second in enumerate(seconds):
        await made(number, second)
    telling = gateway.transactions(datetime(2020, 1, 1, tzinfo=UTC))
    told = [await anext(telling)]
    await made(99, 95e6)
    told += [each async for each in telling]
    assert [each.at.timestamp() - 1.6e9 for each in told] == [*seconds, 95e6]
    assert len({each.id for each in told}) == len(seconds) + 1


async def test_what_is_more_than_a_page_is_read_to_its_end_or_the_gateway_is_away(
    gateway: StripeGateway, double: StripeDouble
) -> None:
    start = datetime.now(UTC) - timedelta(seconds=1)
    for number in range(101):
        form = f"amount=999&currency=eur&metadata[key]=key-{number}&metadata[order_id]=o{number}"
        double.ledger.post("/v1/payment_intents", form, f"key-{number}")
    assert len([each async for each in gateway.transactions(start)]) == 101
    double.mishaps = [Mishap.NOTHING, Mishap.DOWN]  # the second page does not come
    with pytest.raises(GatewayUnavailable):
        await anext(gateway.transactions(start))


async def test_what_was_done_for_one_order_is_found_by_its_name_and_without(
    gateway: StripeGateway, double: StripeDouble
) -> None:
    charge = await captured(gateway)
    await gateway.refund(refund_of(charge))
    await gateway.void(structs.replace(CHARGE, key="o2:capture", order_id="o2"))
    listed = [each async for each in gateway.transactions(datetime.now(UTC) - timedelta(hours=1))]
    of_one = [each for each in listed if each.order_id == "o1"]
    assert len(of_one) == 2
    assert await gateway.made_for("o1") == of_one
    assert await gateway.made_for("o3") == []
    # What another gateway, or another account, has called it.
    assert await gateway.made_for("o3", "txn_of_the_mock") == []
    # Until its search finds it.
    double.ledger.search_lag = 60
    assert await gateway.made_for("o1") == []
    assert await gateway.made_for("o1", charge.transaction_id) == of_one


async def test_who_only_reads_does_not_call_off_what_a_card_refused(
    gateway: StripeGateway, double: StripeDouble
) -> None:
    answer = await gateway.capture(structs.replace(CHARGE, token=double_ledger.PROCESSING_FAILS))
    assert isinstance(answer, Pending)
    double.ledger.decide()
    reader = StripeGateway("sk_test_of_the_double", return_url="", url=double.url, only_reads=True)
    assert await reader.lookup(CHARGE.key, answer.transaction_id) == Pending(answer.transaction_id)
    assert double.ledger.intents[answer.transaction_id]["status"] == "requires_payment_method"
    assert isinstance(await gateway.lookup(CHARGE.key, answer.transaction_id), Declined)
    await reader.close()


def signed(event: object, secret: str = SECRET) -> tuple[dict[str, str], bytes]:
    body = json.dumps(event).encode()
    return {"stripe-signature": sign(body, secret, int(time.time()))}, body


async def test_its_webhooks_say_which_order_they_are_about(
    gateway: StripeGateway, double: StripeDouble
) -> None:
    charge = await captured(gateway)
    await gateway.refund(refund_of(charge))
    heard = [await gateway.hear(*signed(event)) for event in double.ledger.events]
    assert heard == [
        Heard("evt_00000000", "o1", About.CHARGE),
        Heard("evt_00000001", "o1", About.REFUND),
    ]
    dispute = {"id": "du_1", "object": "dispute", "payment_intent": charge.transaction_id}
    event = {"id": "evt_9", "type": "charge.dispute.created", "data": {"object": dispute}}
    assert await gateway.hear(*signed(event)) == Heard("evt_9", "o1", About.DISPUTE)
    for type_, about in (("customer.created", {}), ("payment_intent.created", {"id": "pi_of_others"})):
        assert await gateway.hear(*signed({"id": "e", "type": type_, "data": {"object": about}})) is None


@pytest.mark.parametrize("event", [[], {}, {"id": "e", "type": "t"}, {"id": "e", "type": "t", "data": 1}])
async def test_what_is_signed_and_no_event_is_refused(gateway: StripeGateway, event: object) -> None:
    with pytest.raises(BadSignature):
        await gateway.hear(*signed(event))


def test_our_signatures_are_those_that_stripes_own_library_makes_out() -> None:
    headers, body = signed({"id": "evt_1", "object": "event", "type": "t", "data": {"object": {}}})
    event = stripe.Webhook.construct_event(body, headers["stripe-signature"], SECRET)
    assert event.id == "evt_1"
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.Webhook.construct_event(body, headers["stripe-signature"], "another")
