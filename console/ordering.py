"""Carries out a job with orders: each is asked of the order service, with the token of who is signed in.

That is in the memory of the replica that has it, and nowhere else: when it ends, or the replica does, the job
stands still until somebody who may goes on with it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple, Protocol

import msgspec
from msgspec import Struct

from console.bulk import Change, OrderJob, Outcome, Step
from console.services import Refused, Services, command
from saga_operator.policy.policy import Outcome as Answered
from services.shared.contract.audit import By
from services.shared.contract.codes import Code

# Of the login, which is no good any more: the same would be said of every order.
OF_THE_LOGIN: Final = frozenset(
    {Code.TOKEN_EXPIRED, Code.TOKEN_INVALID, Code.TOKEN_MISSING, Code.ACCOUNT_GONE, Code.FORBIDDEN}
)
# So it would be of these, for a while.
OF_THE_SERVICE: Final = frozenset(
    {Code.UNAVAILABLE, Code.OVERLOADED, Code.RATE_LIMITED, Code.SERVICE_TOO_SLOW, Code.INTERNAL_ERROR}
)
MOVED_ON: Final = "it has moved on since"


class Login(NamedTuple):
    """Whose token it is, and from where they came."""

    token: str
    by: By


class Record(Protocol):
    """A job, of which every change is written down before anything is built on it."""

    @property
    def job(self) -> OrderJob: ...

    async def add(self, *changes: Change) -> None: ...


class _Compensated(Struct):
    outcome: Answered | None = None


async def carry_out(
    services: Services, record: Record, ask: Callable[[str], Awaitable[None]], login: Login, rate: float
) -> None:
    """All that is left to be done. `ask` puts on the audit trail what that is; `rate`: orders a second.

    Raises Refused where the same would be said of every order.
    """
    planned = record.job.planned
    if not planned:
        return
    # What cannot be recorded is not done.
    await ask(f"orders: {len(planned)}")
    for number, step in planned.items():
        await record.add(Change(number, *await _done(services, record.job, step, login)))
        await asyncio.sleep(1 / rate)


async def _done(services: Services, job: OrderJob, step: Step, login: Login) -> tuple[Outcome, str]:
    """Twice is as once: of a cancelled order the service says so, and a refund has its key."""
    form = {"reason": job.reason, "key": job.key_of(step.order), "status": step.status}
    try:
        said = await services.act(step.order, command(job.verb, form), login.token, login.by.address)
    except Refused as error:
        if error.code in OF_THE_LOGIN | OF_THE_SERVICE:
            raise
        return Outcome.REFUSED, str(error)
    if msgspec.json.decode(said, type=_Compensated).outcome is Answered.NOT_APPLICABLE:
        return Outcome.REFUSED, MOVED_ON
    return Outcome.DONE, ""
