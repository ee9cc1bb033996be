"""A sweep of orders that somebody has looked at, asked of the order service with their own token."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

import msgspec
from msgspec import Struct

from console.services import Refused, Services, compensation
from console.visitors import Visitor
from saga_operator.policy.orders import OrderServiceError
from saga_operator.policy.policy import Outcome, StaleOrder, Sweep
from saga_operator.policy.sweep import carry_out
from sagactl.oncall.overdue import POLICY
from services.shared.contract.codes import Code

# What holds for every order alike, in the words of the policy.
REASONS: Final[Mapping[str, str]] = {
    Code.FORBIDDEN: "Forbidden",
    Code.TOKEN_EXPIRED: "Unauthorized",
    Code.TOKEN_INVALID: "Unauthorized",
}


class _Answer(Struct):
    outcome: Outcome


class _Looked(NamedTuple):
    """The orders of a plan, for the policy's own way to carry one out."""

    orders: Sequence[StaleOrder]
    services: Services
    visitor: Visitor
    reason: str

    async def stale(self, status: str, older_than: timedelta) -> list[StaleOrder]:
        del older_than  # the order service looks at it once more
        return [each for each in self.orders if each.status == status]

    async def compensate(self, order: StaleOrder, older_than: timedelta) -> Outcome:
        command = compensation(self.reason, order.status, older_than)
        try:
            said = await self.services.act(order.order_id, command, self.visitor.token, self.visitor.address)
        except Refused as error:
            raise OrderServiceError(REASONS.get(error.code, "Rejected"), str(error)) from error
        try:
            return msgspec.json.decode(said, type=_Answer).outcome
        except msgspec.MsgspecError as error:
            raise OrderServiceError("BadAnswer", "the order service's answer cannot be read") from error


async def sweep(services: Services, orders: Sequence[StaleOrder], reason: str, visitor: Visitor) -> Sweep:
    """One order after the other, until one is refused, or three in a row fail: then the service is ill."""
    return await carry_out(_Looked(orders, services, visitor, reason), POLICY, lambda: datetime.now(UTC))
