"""A gateway in memory, that can be away before or after it did what it was asked."""

from collections.abc import AsyncIterator
from datetime import datetime

from services.payment.gateway import (
    Captured,
    Charge,
    Declined,
    GatewayRefused,
    GatewayUnavailable,
    Refund,
    Refunded,
    Transaction,
)

Result = Captured | Declined | Refunded


class Bank:
    """Declines what is asked for with the token `no`."""

    def __init__(self) -> None:
        self.done: dict[str, Result] = {}
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

    async def refund(self, refund: Refund) -> Refunded:
        if not isinstance(self.done.get(refund.charge_key), Captured):
            raise GatewayRefused("no such capture")
        result = self._once("refund", refund.key, Refunded(f"re_{refund.key}"))
        assert isinstance(result, Refunded)
        return result

    async def lookup(self, key: str) -> Result | None:
        self.calls.append(f"lookup {key}")
        return self.done.get(key)

    def _once(self, call: str, key: str, made: Result) -> Result:
        self.calls.append(f"{call} {key}")
        if self.lose_request:
            raise GatewayUnavailable("503")
        result = self.done.setdefault(key, made)
        if self.lose_answer:
            raise GatewayUnavailable("timeout")
        return result

    def transactions(self, since: datetime) -> AsyncIterator[Transaction]:
        raise NotImplementedError(f"nobody who charges asks what was done since {since}")
