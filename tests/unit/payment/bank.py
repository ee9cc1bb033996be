"""A gateway in memory, that can be away before or after it did what it was asked."""

from collections.abc import AsyncIterator
from datetime import datetime

from services.payment.gateway import (
    Answer,
    Captured,
    Charge,
    Declined,
    GatewayRefused,
    GatewayUnavailable,
    Refund,
    Refunded,
    RefundRefused,
    Transaction,
)


class Bank:
    """Declines what is asked for with the token `no`."""

    def __init__(self) -> None:
        self.done: dict[str, Answer] = {}
        # What was given back under which key; how many refunds are refused before one is made.
        self.given_back: dict[str, int] = {}
        self.refusals = 0
        self.calls: list[str] = []
        # The next call does not arrive, or its answer does not.
        self.lose_request = False
        self.lose_answer = False

    async def capture(self, charge: Charge) -> Captured | Declined:
        declined = charge.token == "no"
        made = Declined(f"txn_{charge.key}", "no money") if declined else Captured(f"txn_{charge.key}")
        result = self._once("capture", charge.key, made)
        assert isinstance(result, Captured | Declined)
        return result

    async def refund(self, refund: Refund) -> Refunded | RefundRefused:
        if not isinstance(self.done.get(refund.charge_key), Captured):
            raise GatewayRefused("no such capture")
        made = RefundRefused("blocked") if self.refusals else Refunded(f"re_{refund.key}")
        if refund.key not in self.done and not self.lose_request:
            if self.refusals:
                self.refusals -= 1
            else:
                self.given_back[refund.key] = refund.amount
        result = self._once("refund", refund.key, made)
        assert isinstance(result, Refunded | RefundRefused)
        return result

    async def lookup(self, key: str) -> Answer | None:
        self.calls.append(f"lookup {key}")
        return self.done.get(key)

    def _once(self, call: str, key: str, made: Answer) -> Answer:
        self.calls.append(f"{call} {key}")
        if self.lose_request:
            raise GatewayUnavailable("503")
        result = self.done.setdefault(key, made)
        if self.lose_answer:
            raise GatewayUnavailable("timeout")
        return result

    def transactions(self, since: datetime) -> AsyncIterator[Transaction]:
        raise NotImplementedError(f"nobody who charges asks what was done since {since}")
