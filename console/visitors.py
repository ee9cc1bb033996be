"""Whose request it is: by the cookie of their session, with an access token that is good now."""

import hashlib
import time
from dataclasses import dataclass
from typing import Final, NamedTuple

from console import rights
from console.services import Refused, Services, Tokens
from console.sessions import Session, Sessions, new_csrf
from services.gateway.callers import limited_as
from services.gateway.limiter import Limiter
from services.gateway.limits import Budget
from services.shared import emails
from services.shared.http.auth import Tokens as Verifier
from services.shared.http.auth import Unauthenticated, User
from services.shared.http.rights import refusal

# An access token is renewed before it ends: what is asked with it takes its time.
SPARE_SECONDS: Final = 30
# In a window of the gateway's own limiter, which counts the same guesses of an address.
WINDOW_SECONDS: Final = 60
GUESSES_OF_ADDRESS: Final = 120
GUESSES_OF_ACCOUNT: Final = 10


class NotSignedIn(Exception):
    """Nobody is; or their session has ended."""


class NotOurs(Exception):
    """What would change something comes from no page of this session."""


class Visitor(NamedTuple):
    id: str
    session: Session
    user: User
    address: str

    @property
    def token(self) -> str:
        return self.session.access_token


@dataclass(frozen=True)
class Door:
    """Lets people in, and knows them again. Its methods raise RedisError where Redis does not answer."""

    services: Services
    sessions: Sessions
    verifier: Verifier
    limiter: Limiter

    async def enter(self, email: str, password: str, code: str, address: str) -> str:
        """The id of a new session. Raises Refused; KeysUnavailable or Unauthenticated where auth ails."""
        await self._count_guess(email, address)
        tokens = await self.services.log_in(email, password, code, address)
        user = await self._user(tokens.access_token)
        if not user.may(rights.ENTRY):
            await self.services.log_out(tokens.refresh_token, address)
            raise Refused(f"{refusal(rights.ENTRY)}: ask an administrator of the shop")
        return await self.sessions.begin(_session(tokens, new_csrf(), time.time()))

    async def _count_guess(self, email: str, address: str) -> None:
        place = limited_as(address)
        named = hashlib.sha256(emails.normalize(email).encode()).hexdigest()
        account = Budget(f"guesses:{place}:console:{named}", GUESSES_OF_ACCOUNT)
        verdict = await self.limiter.judge((Budget(f"guesses:{place}", GUESSES_OF_ADDRESS), account))
        if not verdict.has_room:
            seconds = verdict.seconds_to_wait(self.limiter.window)
            raise Refused(f"too many attempts: wait {seconds} s")

    async def known(self, id_: str, address: str) -> Visitor:
        """Raises NotSignedIn, KeysUnavailable."""
        session = await self.sessions.find(id_)
        if session is None:
            raise NotSignedIn
        if time.time() >= session.access_until - SPARE_SECONDS:
            session = await self._renewed(id_, address)
        await self.sessions.used(id_, session)
        try:
            user = await self._user(session.access_token)
        except Unauthenticated as error:
            raise NotSignedIn from error
        if not user.may(rights.ENTRY):  # any more
            raise NotSignedIn
        return Visitor(id_, session, user, address)

    async def _renewed(self, id_: str, address: str) -> Session:
        async with self.sessions.renewing(id_) as mine:
            session = await self.sessions.find(id_)
            if session is None:
                raise NotSignedIn
            if not mine or time.time() < session.access_until - SPARE_SECONDS:
                return session
            try:
                tokens = await self.services.refresh(session.refresh_token, address)
            except Refused as error:
                if time.time() < session.access_until:  # it is good still, and auth may answer later
                    return session
                await self.sessions.end(id_)
                raise NotSignedIn from error
            renewed = _session(tokens, session.csrf, session.began_at)
            await self.sessions.keep(id_, renewed)
            return renewed

    async def leave(self, visitor: Visitor) -> None:
        await self.sessions.end(visitor.id)
        await self.services.log_out(visitor.session.refresh_token, visitor.address)

    async def _user(self, token: str) -> User:
        return await self.verifier.user(f"Bearer {token}")


def _session(tokens: Tokens, csrf: str, began_at: float) -> Session:
    return Session(
        access_token=tokens.access_token,
        access_until=time.time() + tokens.expires_in,
        refresh_token=tokens.refresh_token,
        csrf=csrf,
        began_at=began_at,
    )
