"""Letters on their way to the mail server: one replica sends each, and again until it is taken or over.

The token is made here, when it is sent, and nowhere else. Where a replica dies between the server's answer
and the mark, the letter is sent once more by another: the same mail, with the same token.
"""

import asyncio
import logging
from email.headerregistry import Address
from email.message import EmailMessage
from typing import Final

from pymongo.errors import PyMongoError

from services.auth import letters, mail
from services.auth.domain import User
from services.auth.letters import Letter, State
from services.auth.queries import Accounts
from services.auth.settings import AuthSettings
from services.shared.contract.decisions import Deferred
from services.shared.database.clock import Clock
from services.shared.database.counting import counting
from services.shared.database.store import trouble
from services.shared.mail.metrics import BACKLOG
from services.shared.mail.outcomes import Sent, Undeliverable
from services.shared.mail.sending import Post
from services.shared.sealing import Seals
from services.shared.waiting import happens

# Between two looks, where nobody says that a letter was added.
LOOK_SECONDS: Final = 2.0
# Under way at a time. Most of them wait for a connection: those that wait for one domain give up soon.
PLACES: Final = 32
# Less than the lease, so that nobody else has the letter meanwhile.
LONGEST_SECONDS: Final = 0.75 * letters.LEASE.total_seconds()
# A letter for nobody is written all the same, so that it takes as long, and then thrown away.
_NOBODY: Final = Address("", "nobody", "shop.invalid")
log = logging.getLogger(__name__)


class Posting:
    def __init__(
        self, settings: AuthSettings, accounts: Accounts, seals: Seals, clock: Clock, post: Post
    ) -> None:
        self._settings, self._accounts, self._seals, self._clock = settings, accounts, seals, clock
        self._post = post
        self._places = asyncio.Semaphore(PLACES)

    async def run(self, added: asyncio.Event) -> None:
        """Sends what is due, for ever. `added` is set where there is a new letter."""
        async with asyncio.TaskGroup() as under_way:
            under_way.create_task(counting(Posting._count)(self))
            while True:
                added.clear()
                await self._take_all(under_way)
                await happens(added, LOOK_SECONDS)

    async def _take_all(self, under_way: asyncio.TaskGroup) -> None:
        """Until none is due that nobody else has."""
        while True:
            await self._places.acquire()
            letter = None
            try:
                letter = await self._accounts.lease_letter(self._clock.now())
            except PyMongoError as error:
                log.warning("letters wait: %s", trouble(error))
            if letter is None:
                self._places.release()
                return
            under_way.create_task(self._handle(letter)).add_done_callback(lambda _: self._places.release())

    async def _handle(self, letter: Letter) -> None:
        """Whatever happens is about this letter alone: without an outcome it comes again after its lease."""
        try:
            after = await self._outcome(letter)
            await self._accounts.replace(letter, after)
        except PyMongoError as error:
            log.warning("letters wait: %s", trouble(error))
        except Exception as error:  # noqa: BLE001  # one that cannot be written must not end the logins of all
            kind = type(error).__name__  # its text may hold the address
            log.error("a letter to %s account %s waits: %s", letter.kind, letter.user_id, kind)  # noqa: TRY400  # see above

    async def _outcome(self, letter: Letter) -> Letter:
        user = await self._accounts.user(letter.user_id)
        now = self._clock.now()
        if letters.awaits_account(letter, user, now):
            return letters.put_off(letter, now)
        if user is None or not letters.is_to_be_sent(letter, user, now):
            self._composed(letter, _NOBODY)
            return letters.over(letter, State.VOID)
        try:
            result = await self._sent(letter, user)
        except Deferred as error:
            # Once: what goes on is on the gauges.
            level = logging.WARNING if letter.tries == 1 else logging.DEBUG
            log.log(level, "a letter to %s account %s waits: %s", letter.kind, user.id, error)
            return letters.put_off(letter, self._clock.now())
        if isinstance(result, Undeliverable):
            log.warning("a letter to %s account %s is refused: %s", letter.kind, user.id, result.reason)
            return letters.over(letter, State.FAILED)
        return letters.over(letter, State.SENT)

    async def _sent(self, letter: Letter, user: User) -> Sent | Undeliverable:
        """Raises Deferred."""
        try:
            async with asyncio.timeout(LONGEST_SECONDS):
                return await self._post.send(user.mailbox, lambda to: self._composed(letter, to))
        except TimeoutError as error:
            raise Deferred("no connection was free") from error

    def _composed(self, letter: Letter, to: Address) -> EmailMessage:
        token = letters.token_of(letter, self._seals.proof(letter.sealed_as))
        return mail.compose(letter, to, token, self._settings.page_of(letter.kind), self._post.sender)

    async def _count(self) -> None:
        """Sets the gauges. Raises PyMongoError."""
        number, since = await self._accounts.waiting_letters()
        BACKLOG.show(number, since, self._clock.now())
