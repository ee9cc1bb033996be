"""A gateway in memory, that can be away before or after it did what it was asked, and decide later."""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Final, TypeVar

from services.payment.gateway import (
    Answer,
    Authorized,
    Captured,
    Charge,
    ChargeAnswer,
    Declined,
    GatewayRefused,
    GatewayUnavailable,
    Heard,
    Pending,
    Refund,
    RefundAnswer,
    Refunded,
    RefundPending,
    RefundRefused,
    Transaction,
    Voided,
)
from services.shared.contract.events import NextAction

NO: Final = "no"
LATER: Final = "later"
LATER_NO: Final = "later, and then no"
ACTION: Final = NextAction("redirect", "https://bank.example/agree")
AnyAnswer = TypeVar("AnyAnswer", bound=Answer)


class Bank:
    """Declines what is asked for with the token `no`; decides later on what is asked for with `later`."""

    def __init__(self) -> None:
        self.done: dict[str, ChargeAnswer] = {}
        self.refunds: dict[str, RefundAnswer] = {}
        # What was given back under which key; how many refunds are refused before one is made.
        self.given_back: dict[str, int] = {}
        self.refusals = 0
        # Whether it decides on refunds later; the amounts of those.
        self.refunds_later = False
        self.undecided: dict[str, int] = {}
        self.calls: list[str] = []
        # The next call does not arrive, or its answer does not.
        self.lose_request = False
        self.lose_answer = False
        self._then: dict[str, ChargeAnswer] = {}

    async def authorize(self, charge: Charge) -> ChargeAnswer:
        self._reach(f"authorize {charge.key}")
        self._begin(charge, Authorized(f"txn_{charge.key}"))
        return self._answer(self.done[charge.key])

    async def capture(self, charge: Charge) -> ChargeAnswer:
        self._reach(f"capture {charge.key}")
        self._begin(charge, Captured(f"txn_{charge.key}"))
        if isinstance(self.done[charge.key], Authorized):
            self.done[charge.key] = Captured(f"txn_{charge.key}")
        return self._answer(self.done[charge.key])

    async def void(self, charge: Charge) -> ChargeAnswer:
        self._reach(f"void {charge.key}")
        if isinstance(self.done.get(charge.key), Pending | Authorized | None):
            self.done[charge.key] = Voided(f"txn_{charge.key}")
        return self._answer(self.done[charge.key])

    async def refund(self, refund: Refund) -> RefundAnswer:
        if not isinstance(self.done.get(refund.charge_key), Captured):
            raise GatewayRefused("no such capture")
        self._reach(f"refund {refund.key}")
        if refund.key not in self.refunds:
            self.refunds[refund.key] = self._decide_on(refund)
        return self._answer(self.refunds[refund.key])

    async def lookup(self, key: str, reference: str = "") -> Answer | None:
        assert reference in {"", f"txn_{key}"} or ":refund" in key
        self._reach(f"lookup {key}")
        found = self.done.get(key) or self.refunds.get(key)
        if self.lose_answer:
            raise GatewayUnavailable("timeout")
        return found

    def transactions(self, since: datetime) -> AsyncIterator[Transaction]:
        raise NotImplementedError(f"nobody who charges asks what was done since {since}")

    async def made_for(self, order_id: str, reference: str = "") -> Sequence[Transaction]:
        raise NotImplementedError(f"nobody who charges asks what was done: {order_id}, {reference}")

    async def hear(self, headers: Mapping[str, str], body: bytes) -> Heard | None:
        raise NotImplementedError(f"it has no voice: {headers}, {body!r}")

    def decide(self) -> None:
        """On all that waits for that."""
        for key, answer in self._then.items():
            if isinstance(self.done[key], Pending):
                self.done[key] = answer
        for key, amount in self.undecided.items():
            self.refunds[key] = Refunded(f"re_{key}")
            self.given_back[key] = amount
        self.undecided.clear()

    def _begin(self, charge: Charge, accepted: ChargeAnswer) -> None:
        """What its first request makes of a key."""
        if charge.key in self.done:
            return
        id_ = f"txn_{charge.key}"
        no = Declined(id_, "no money")
        if charge.token in {LATER, LATER_NO}:
            self.done[charge.key] = Pending(id_, ACTION)
            self._then[charge.key] = accepted if charge.token == LATER else no
        else:
            self.done[charge.key] = no if charge.token == NO else accepted

    def _decide_on(self, refund: Refund) -> RefundAnswer:
        if self.refusals:
            self.refusals -= 1
            return RefundRefused("blocked")
        if self.refunds_later:
            self.undecided[refund.key] = refund.amount
            return RefundPending()
        self.given_back[refund.key] = refund.amount
        return Refunded(f"re_{refund.key}")

    def _reach(self, call: str) -> None:
        self.calls.append(call)
        if self.lose_request:
            raise GatewayUnavailable("503")

    def _answer(self, answer: AnyAnswer) -> AnyAnswer:
        if self.lose_answer:
            raise GatewayUnavailable("timeout")
        return answer
