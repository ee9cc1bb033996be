"""A simulated shop whose payment gateway is our Stripe adapter, with a double of Stripe behind it."""

import asyncio
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from random import Random
from typing import Any, Final

from dev.simulate.clock import Process
from dev.simulate.database_client import now
from dev.simulate.history import History
from dev.simulate.shop import Run, Shop
from dev.stripe_double import ledger as double
from dev.stripe_double.ledger import StripeLedger
from dev.torture.stripe_client import DoubleClient
from services.order.model import Order, Status
from services.payment import stripe_gateway
from services.payment.gateway import Gateway, Kind
from services.payment.gateway import Status as Entered
from services.payment.ledger import LedgerEntry
from services.payment.signatures import sign
from services.payment.stripe_gateway import StripeGateway

SECRET: Final = "whsec_of_the_double"  # noqa: S105  # of nobody
CARDS: Final = (
    double.VISA,
    double.DECLINED,
    double.ACTION,
    double.ACTION_FAILS,
    double.PROCESSING,
    double.PROCESSING_FAILS,
    double.REFUND_PENDING,
    double.REFUND_FAILS,
)
# How long banks and customers take (seconds, the mean).
DECIDES_SECONDS: Final = 12.0
# Of events: how many are never heard of, and how late the others come.
LOST: Final = 0.3
LATE_SECONDS: Final = 8.0
LOOK_SECONDS: Final = 0.5
STATUS_OF: Final = {
    "succeeded": Entered.CAPTURED,
    "requires_capture": Entered.AUTHORIZED,
    "canceled": Entered.VOIDED,
}
REFUND_STATUS_OF: Final = {"succeeded": Entered.REFUNDED, "failed": Entered.REFUSED}


class TorturedShop(Shop):
    def __init__(self, run: Run, history: History) -> None:
        self.stripe = StripeLedger(now=lambda: now().timestamp(), search_lag=60)
        self._told = 0
        self._lost: list[dict[str, Any]] = []
        self._telling: set[asyncio.Task[None]] = set()
        super().__init__(run, history)

    def _gateway(self, process: Process) -> Gateway:
        return StripeGateway(
            "sk_test_of_the_double",
            return_url="https://shop.example/paid",
            webhook_secrets=[SECRET],
            http=DoubleClient(process, self.dice, self.stripe),
        )

    def _card(self, random: Random) -> str | None:
        return random.choice(CARDS)

    # --- the gateway, of itself ---------------------------------------------------------------------------

    async def _speak(self) -> None:
        """Decides on what waits, and tells of all that happened: late, twice, in any order, or never."""
        place = self.dice.at("voice of the gateway")
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            for each in self.stripe.undecided():
                if place.random.random() < LOOK_SECONDS / DECIDES_SECONDS:
                    self.stripe.decide_on(each)
            new, self._told = self.stripe.events[self._told :], len(self.stripe.events)
            if self.dice.calm:
                # What nobody has answered is said again, for days.
                new, self._lost = new + self._lost, []
            for event in new:
                if not self.dice.calm and place.random.random() < LOST:
                    self._lost.append(event)
                    continue
                for _ in range(place.random.choice((1, 1, 2))):
                    task = asyncio.ensure_future(self._tell(event, place.seconds(LATE_SECONDS)))
                    self._telling.add(task)
                    task.add_done_callback(self._telling.discard)

    async def _tell(self, event: dict[str, Any], after: float) -> None:
        """As the route does: with the body as it came, signed."""
        await asyncio.sleep(after)
        body = json.dumps(event).encode()
        listening = self._gateway(Process("webhooks"))
        headers = {stripe_gateway.SIGNATURE: sign(body, SECRET, int(time.time()))}
        heard = await listening.hear(headers, body)
        if heard is not None:
            await self._ask(heard, heard.id, "payment")

    # --- in the end ---------------------------------------------------------------------------------------

    def _findings(self, *, rested: bool) -> list[str]:
        """By the double's own books."""
        self.judge.ledger.update({entry.id: entry for entry in self._entries()})
        return [*super()._findings(rested=rested), *self._kept()]

    def _entries(self) -> Iterator[LedgerEntry]:
        for intent in self.stripe.intents.values():
            status = STATUS_OF.get(intent["status"], Entered.PENDING)
            if status is Entered.VOIDED and intent["last_payment_error"]:
                status = Entered.DECLINED
            yield _entry(intent, Kind.CAPTURE, status)
        for refund in self.stripe.refunds.values():
            yield _entry(refund, Kind.REFUND, REFUND_STATUS_OF.get(refund["status"], Entered.PENDING))

    def _kept(self) -> Iterator[str]:
        """What Stripe has taken and not given back is what the order says, to the cent."""
        for order in self.judge.all("order", Order):
            kept = self.stripe.kept(order.id)
            wanted = 0
            if order.status in {Status.PAID, Status.REFUNDING, Status.REFUNDED}:
                wanted = order.total - sum(each.amount for each in order.given_back if not each.is_open)
            if kept != wanted:
                yield f"{order.id} is {order.status}, Stripe keeps {kept} of it, and {wanted} it should"


def _entry(made: dict[str, Any], kind: Kind, status: Entered) -> LedgerEntry:
    return LedgerEntry(
        id=made["metadata"]["key"],
        order_id=made["metadata"]["order_id"],
        kind=kind,
        amount=made["amount"],
        currency=made["currency"].upper(),
        status=status,
        transaction_id=made["id"],
        at=datetime.fromtimestamp(made["created"], UTC),
    )
