"""What the gateway is asked, and what is made of its silence."""

import asyncio
from datetime import timedelta

import pytest

from services.payment import effects
from services.payment.domain import DOMAIN
from services.payment.gateway import (
    Authorized,
    Captured,
    Charge,
    ChargeAnswer,
    Gateway,
    Pending,
    Refunded,
    RefundPending,
    Voided,
)
from services.payment.payment import ChargeOutcome, LookAgain, Payment, PaymentState, RefundOutcome
from services.shared.contract.decisions import Deferred, Message, Rejected
from tests.unit.memory import NOW, Memory
from tests.unit.payment.bank import ACTION, Bank
from tests.unit.payment.test_payment_table import CONFIRMED, MESSAGES, ORDER, REFUND, payment

CAPTURE_KEY, REFUND_KEY = "order_1:capture", "order_1:refund"
CAPTURING = payment(PaymentState.CAPTURING, intended_at=NOW)
REFUNDING = payment(PaymentState.REFUNDING, intended_at=NOW)
AFTER_12_HOURS = NOW + timedelta(hours=12, milliseconds=1)
memory = Memory(DOMAIN)
CANCELLED = MESSAGES["cancelled"]
LOOK = LookAgain(ORDER, 0)


async def perform(
    bank: Gateway, stored: Payment, message: Message, *, manual: bool = False
) -> ChargeOutcome | RefundOutcome:
    return await effects.Asked(bank, manual=manual).perform(stored, message)


def captured_before() -> Bank:
    bank = Bank()
    bank.done[CAPTURE_KEY] = Captured("txn_1")
    return bank


async def test_a_charge_is_made_with_the_key_of_its_order() -> None:
    bank = Bank()
    outcome = await perform(bank, CAPTURING, memory.message(CONFIRMED))
    assert outcome == ChargeOutcome(CONFIRMED, Captured(f"txn_{CAPTURE_KEY}"), NOW)
    assert bank.calls == [f"capture {CAPTURE_KEY}"]


async def test_a_charge_asked_for_again_is_resolved_with_the_same_key() -> None:
    bank = captured_before()
    outcome = await perform(bank, CAPTURING, memory.message(CONFIRMED, at=NOW + timedelta(hours=12)))
    assert outcome.result == Captured("txn_1")
    assert bank.calls == [f"capture {CAPTURE_KEY}"]


async def test_an_old_charge_is_looked_up_as_gateways_forget_keys() -> None:
    bank = captured_before()
    outcome = await perform(bank, CAPTURING, memory.message(CONFIRMED, at=AFTER_12_HOURS))
    assert outcome.result == Captured("txn_1")
    assert bank.calls == [f"lookup {CAPTURE_KEY}"]


async def test_an_old_charge_that_was_never_made_is_made() -> None:
    bank = Bank()
    await perform(bank, CAPTURING, memory.message(CONFIRMED, at=AFTER_12_HOURS))
    assert bank.calls == [f"lookup {CAPTURE_KEY}", f"capture {CAPTURE_KEY}"]


async def test_a_refund_is_made_with_the_key_of_its_order() -> None:
    bank = captured_before()
    outcome = await perform(bank, REFUNDING, memory.message(REFUND))
    assert outcome == RefundOutcome(REFUND, Refunded(f"re_{REFUND_KEY}"), attempt=0, at=NOW)


async def test_an_old_refund_is_looked_up() -> None:
    bank = captured_before()
    await perform(bank, REFUNDING, memory.message(REFUND))
    bank.calls.clear()
    outcome = await perform(bank, REFUNDING, memory.message(REFUND, at=AFTER_12_HOURS))
    assert outcome.result == Refunded(f"re_{REFUND_KEY}")
    assert bank.calls == [f"lookup {REFUND_KEY}"]


async def test_an_old_refund_that_was_never_made_is_made() -> None:
    bank = captured_before()
    await perform(bank, REFUNDING, memory.message(REFUND, at=AFTER_12_HOURS))
    assert bank.calls == [f"lookup {REFUND_KEY}", f"refund {REFUND_KEY}"]


async def test_a_gateway_that_fails_is_asked_again_later() -> None:
    bank = Bank()
    bank.lose_request = True
    with pytest.raises(Deferred, match="capture: 503"):
        await perform(bank, CAPTURING, memory.message(CONFIRMED))


async def test_a_gateway_that_does_not_answer_in_time_is_asked_again_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Silent(Bank):
        async def capture(self, charge: Charge) -> ChargeAnswer:
            await asyncio.sleep(60)
            return await super().capture(charge)

    monkeypatch.setattr(effects, "TIMEOUT_SECONDS", 0.01)
    with pytest.raises(Deferred, match="no answer in time"):
        await perform(Silent(), CAPTURING, memory.message(CONFIRMED))


async def test_what_the_gateway_takes_for_nonsense_is_a_dead_letter() -> None:
    with pytest.raises(Rejected, match="no such capture"):
        await perform(Bank(), REFUNDING, memory.message(REFUND))


async def test_an_error_of_ours_is_not_taken_for_the_gateways() -> None:
    class Broken(Bank):
        async def capture(self, charge: Charge) -> ChargeAnswer:
            raise ZeroDivisionError(charge.key)

    with pytest.raises(ZeroDivisionError):
        await perform(Broken(), CAPTURING, memory.message(CONFIRMED))


# --- what is decided later --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("there", "asked", "call", "answer"),
    [
        (None, payment(PaymentState.VOIDING), f"void {CAPTURE_KEY}", Voided(f"txn_{CAPTURE_KEY}")),
        (
            Authorized("txn_1"),
            payment(PaymentState.VOIDING),
            f"void {CAPTURE_KEY}",
            Voided(f"txn_{CAPTURE_KEY}"),
        ),
        # It was faster: the order gives it back.
        (Captured("txn_1"), payment(PaymentState.VOIDING), f"void {CAPTURE_KEY}", Captured("txn_1")),
        (Pending("txn_1"), payment(PaymentState.PENDING), f"lookup {CAPTURE_KEY}", Pending("txn_1")),
        (Captured("txn_1"), CAPTURING, f"lookup {CAPTURE_KEY}", Captured("txn_1")),
        (Captured("txn_1"), payment(PaymentState.VOIDED), f"lookup {CAPTURE_KEY}", Captured("txn_1")),
        (None, payment(PaymentState.DECLINED), f"lookup {CAPTURE_KEY}", Voided()),
        (
            Authorized("txn_1"),
            payment(PaymentState.AUTHORIZED),
            f"capture {CAPTURE_KEY}",
            Captured(f"txn_{CAPTURE_KEY}"),
        ),
    ],
)
async def test_by_its_state_a_payment_is_looked_up_taken_or_called_off(
    there: ChargeAnswer | None, asked: Payment, call: str, answer: ChargeAnswer
) -> None:
    bank = Bank()
    if there is not None:
        bank.done[CAPTURE_KEY] = there
    outcome = await perform(bank, asked, memory.message(LOOK))
    assert (outcome.result, bank.calls) == (answer, [call])


@pytest.mark.parametrize("state", [PaymentState.CAPTURING, PaymentState.PENDING])
async def test_what_the_gateway_does_not_know_is_looked_up_again(state: PaymentState) -> None:
    with pytest.raises(Deferred, match="knows nothing"):
        await perform(Bank(), payment(state), memory.message(LOOK))


async def test_a_cancellation_calls_it_off_and_no_charge_on_its_way_comes_through() -> None:
    bank = Bank()
    called_off = await perform(bank, payment(PaymentState.VOIDING), memory.message(CANCELLED))
    late = await perform(bank, CAPTURING, memory.message(CONFIRMED))
    assert called_off.result == late.result == Voided(f"txn_{CAPTURE_KEY}")


@pytest.mark.parametrize(
    ("there", "calls"),
    [
        (None, [f"lookup {CAPTURE_KEY}", f"void {CAPTURE_KEY}"]),
        (Pending("txn_1", ACTION), [f"lookup {CAPTURE_KEY}", f"void {CAPTURE_KEY}"]),
        (Captured("txn_1"), [f"lookup {CAPTURE_KEY}"]),
    ],
)
async def test_what_is_called_off_late_is_looked_up_as_gateways_forget_keys(
    there: ChargeAnswer | None, calls: list[str]
) -> None:
    bank = Bank()
    if there is not None:
        bank.done[CAPTURE_KEY] = there
    await perform(bank, payment(PaymentState.VOIDING), memory.message(CANCELLED, at=AFTER_12_HOURS))
    assert bank.calls == calls


async def test_by_hand_money_is_held_before_it_is_taken() -> None:
    bank = Bank()
    outcome = await perform(bank, CAPTURING, memory.message(CONFIRMED), manual=True)
    assert outcome.result == Authorized(f"txn_{CAPTURE_KEY}")


async def test_an_old_refund_that_is_still_undecided_is_not_made_again() -> None:
    bank = captured_before()
    bank.refunds[REFUND_KEY] = RefundPending()
    outcome = await perform(bank, REFUNDING, memory.message(REFUND, at=AFTER_12_HOURS))
    assert outcome.result == RefundPending()
    assert bank.calls == [f"lookup {REFUND_KEY}"]


async def test_each_queue_has_the_effect_of_its_events() -> None:
    bank = Bank()
    by_queue = effects.effects(bank)
    assert set(by_queue) == {"STOCK_RESERVED", "payment-events"}
    await by_queue["STOCK_RESERVED"].perform(CAPTURING, memory.message(CONFIRMED))
    await by_queue["payment-events"].perform(REFUNDING, memory.message(REFUND))
    assert bank.calls == [f"capture {CAPTURE_KEY}", f"refund {REFUND_KEY}"]


async def test_a_gateway_that_is_away_is_not_waited_for_by_all() -> None:
    bank = Bank()
    bank.lose_request = True
    asked = effects.Asked(bank)
    for _ in range(7):
        with pytest.raises(Deferred):
            await asked.perform(CAPTURING, memory.message(CONFIRMED))
    assert len(bank.calls) == 5
