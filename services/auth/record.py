"""What is done with accounts, on the audit trail: written before it is answered."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from services.auth.domain import User
from services.shared.contract import audit
from services.shared.contract.audit import NOBODY, Action, Actor, By, Kind, Outcome
from services.shared.contract.codes import Code
from services.shared.database.clock import Clock
from services.shared.database.new_id import new_id
from services.shared.database.trail import ENTRIES, Trail
from services.shared.http.auth import Forbidden, Unauthenticated
from services.shared.telemetry import at_zero

# Who does what the settings say.
SETTINGS: Final = By(Actor("auth", Kind.SERVICE), "")
at_zero(ENTRIES, [Action.LOGIN], [Outcome.DONE, Outcome.HALFWAY, Outcome.REFUSED])


class Record:
    """What one request, or the settings, leave there."""

    def __init__(self, trail: Trail, clock: Clock, by: By = SETTINGS) -> None:
        """`by`: from where it is asked, and who asks as far as a token says so."""
        self._trail, self._clock, self._by = trail, clock, by

    async def of(
        self,
        action: Action,
        subject: str,
        actor: Actor | None = None,
        *,
        outcome: Outcome = Outcome.DONE,
        reason: str | None = None,
        detail: str = "",
    ) -> None:
        """`actor`: whoever turned out to ask. Raises PyMongoError."""
        by = self._by if actor is None else By(actor, self._by.address, self._by.request_id)
        told = audit.entry(
            *(new_id(), self._clock.now(), by, action, subject),
            outcome=outcome,
            reason=reason,
            detail=detail,
        )
        await self._trail.add(told)

    @asynccontextmanager
    async def refusals(self, action: Action, subject: str, actor: Actor = NOBODY) -> AsyncIterator[None]:
        """What is refused in here is recorded as such, with the code of its problem for a reason.

        Who is asked for a code of the second factor has the password right, and comes again: that is halfway.
        Who has to wait before the next attempt has not tried anything: that is counted, and not recorded.
        """
        try:
            yield
        except (Unauthenticated, Forbidden) as error:
            outcome = Outcome.HALFWAY if error.code is Code.TOTP_REQUIRED else Outcome.REFUSED
            await self.of(action, subject, actor, outcome=outcome, reason=error.code)
            raise


def actor(user: User) -> Actor:
    return Actor(user.id, Kind.USER, user.roles)
