"""Our Stripe adapter in simulated shops with a double of Stripe: its books are as the orders say, to a cent.

`make torture-payments` does the same with thousands of orders.
"""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from dev.simulate.history import History
from dev.simulate.running import simulate
from dev.simulate.shop import Run
from dev.torture.shop import TorturedShop
from services.order.model import Order, Status
from services.payment.gateway import Charge, ChargeAnswer, Voided
from services.payment.payment import Payment, PaymentState
from services.payment.stripe_gateway import StripeGateway

ROOT = Path(__file__).parents[3]
ORDERS = 40


class Kept(TorturedShop):
    """Shops that can be looked at when they have closed."""

    shops: list["Kept"] = []  # noqa: RUF012  # emptied by whoever looks

    def __init__(self, run: Run, history: History) -> None:
        super().__init__(run, history)
        self.shops.append(self)


def test_what_stripe_keeps_is_what_the_orders_say_however_they_end() -> None:
    Kept.shops.clear()
    for seed in range(6):
        result = simulate(Run(f"tortured.{seed}", ORDERS), kind=Kept)
        assert not result.findings, f"make torture-payments SEED={result.run.seed}"
    orders = {order.id: order for shop in Kept.shops for order in shop.judge.all("order", Order)}
    ends = Counter(
        (orders[payment.id].status, payment.state)
        for shop in Kept.shops
        for payment in shop.judge.all("payment", Payment)
    )
    assert set(ends) >= {
        (Status.PAID, PaymentState.CAPTURED),
        (Status.CANCELLED, PaymentState.DECLINED),
        (Status.CANCELLED, PaymentState.VOIDED),
        # It came through after all.
        (Status.CANCELLED, PaymentState.REFUNDED),
        (Status.REFUNDED, PaymentState.REFUNDED),
    }


def test_a_void_that_is_no_fence_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looked up and called off in our books alone, what was on its way comes through."""

    async def hopeful(self: StripeGateway, charge: Charge) -> ChargeAnswer:
        await self.lookup(charge.key, charge.reference)
        return Voided(charge.reference)

    monkeypatch.setattr(StripeGateway, "void", hopeful)
    assert any(
        "and 0 it should" in finding
        for seed in range(6)  # the first that finds it is enough
        for finding in simulate(Run(f"broken.{seed}", ORDERS), kind=TorturedShop).findings
    )


def test_the_command_has_shops_in_processes_of_their_own() -> None:
    command = [sys.executable, "-m", "dev.torture", "--seed", "1.0", "--orders", "4"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)  # noqa: S603
    assert done.returncode == 0, done.stdout + done.stderr
    assert "orders in 1 shops" in done.stdout
