"""What the gateway is asked, and what is made of its silence."""

import asyncio
from datetime import timedelta

import pytest

from services.payment import effects
from services.payment.domain import DOMAIN
from services.payment.gateway import Captured, Charge, Declined, Refunded
from services.payment.payment import ChargeOutcome, PaymentState, RefundOutcome
from services.shared.contract.decisions import Deferred, Rejected
from tests.unit.memory import NOW, Memory
from tests.unit.payment.bank import Bank
from tests.unit.payment.test_payment_table import CONFIRMED, REFUND, payment

CAPTURE_KEY, REFUND_KEY = "order_1:capture", "order_1:refund"
CAPTURING = payment(PaymentState.CAPTURING, intended_at=NOW)
REFUNDING = payment(PaymentState.REFUNDING, intended_at=NOW)
AFTER_12_HOURS = NOW + timedelta(hours=12, milliseconds=1)
memory = Memory(DOMAIN)


def captured_before() -> Bank:
    bank = Bank()
    bank.done[CAPTURE_KEY] = Captured("txn_1")
    return bank


async def test_a_charge_is_made_with_the_key_of_its_order() -> None:
    bank = Bank()
    outcome = await effects.charge(bank, CAPTURING, memory.message(CONFIRMED))
    assert outcome == ChargeOutcome(CONFIRMED, Captured(f"txn_{CAPTURE_KEY}"))
    assert bank.calls == [f"capture {CAPTURE_KEY}"]


async def test_a_charge_asked_for_again_is_resolved_with_the_same_key() -> None:
    bank = captured_before()
    outcome = await effects.charge(bank, CAPTURING, memory.message(CONFIRMED, at=NOW + timedelta(hours=12)))
    assert outcome.result == Captured("txn_1")
    assert bank.calls == [f"capture {CAPTURE_KEY}"]


async def test_an_old_charge_is_looked_up_as_gateways_forget_keys() -> None:
    bank = captured_before()
    outcome = await effects.charge(bank, CAPTURING, memory.message(CONFIRMED, at=AFTER_12_HOURS))
    assert outcome.result == Captured("txn_1")
    assert bank.calls == [f"lookup {CAPTURE_KEY}"]


async def test_an_old_charge_that_was_never_made_is_made() -> None:
    bank = Bank()
    await effects.charge(bank, CAPTURING, memory.message(CONFIRMED, at=AFTER_12_HOURS))
    assert bank.calls == [f"lookup {CAPTURE_KEY}", f"capture {CAPTURE_KEY}"]


async def test_a_refund_is_made_with_the_key_of_its_order() -> None:
    bank = captured_before()
    outcome = await effects.refund(bank, REFUNDING, memory.message(REFUND))
    assert outcome == RefundOutcome(REFUND, Refunded(f"re_{REFUND_KEY}"), attempt=0, at=NOW)


async def test_an_old_refund_is_looked_up() -> None:
    bank = captured_before()
    await effects.refund(bank, REFUNDING, memory.message(REFUND))
    bank.calls.clear()
    outcome = await effects.refund(bank, REFUNDING, memory.message(REFUND, at=AFTER_12_HOURS))
    assert outcome.result == Refunded(f"re_{REFUND_KEY}")
    assert bank.calls == [f"lookup {REFUND_KEY}"]


async def test_an_old_refund_that_was_never_made_is_made() -> None:
    bank = captured_before()
    await effects.refund(bank, REFUNDING, memory.message(REFUND, at=AFTER_12_HOURS))
    assert bank.calls == [f"lookup {REFUND_KEY}", f"refund {REFUND_KEY}"]


async def test_a_gateway_that_fails_is_asked_again_later() -> None:
    bank = Bank()
    bank.lose_request = True
    with pytest.raises(Deferred, match="capture: 503"):
        await effects.charge(bank, CAPTURING, memory.message(CONFIRMED))


async def test_a_gateway_that_does_not_answer_in_time_is_asked_again_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Silent(Bank):
        async def capture(self, charge: Charge) -> Captured | Declined:
            await asyncio.sleep(60)
            return await super().capture(charge)

    monkeypatch.setattr(effects, "TIMEOUT_SECONDS", 0.01)
    with pytest.raises(Deferred, match="no answer in time"):
        await effects.charge(Silent(), CAPTURING, memory.message(CONFIRMED))


async def test_what_the_gateway_takes_for_nonsense_is_a_dead_letter() -> None:
    with pytest.raises(Rejected, match="no such capture"):
        await effects.refund(Bank(), REFUNDING, memory.message(REFUND))


async def test_an_error_of_ours_is_not_taken_for_the_gateways() -> None:
    class Broken(Bank):
        async def capture(self, charge: Charge) -> Captured | Declined:
            raise ZeroDivisionError(charge.key)

    with pytest.raises(ZeroDivisionError):
        await effects.charge(Broken(), CAPTURING, memory.message(CONFIRMED))


async def test_each_queue_has_the_effect_of_its_events() -> None:
    bank = Bank()
    by_queue = effects.effects(bank)
    assert set(by_queue) == {"STOCK_RESERVED", "payment-events"}
    await by_queue["STOCK_RESERVED"].perform(CAPTURING, memory.message(CONFIRMED))
    await by_queue["payment-events"].perform(REFUNDING, memory.message(REFUND))
    assert bank.calls == [f"capture {CAPTURE_KEY}", f"refund {REFUND_KEY}"]
