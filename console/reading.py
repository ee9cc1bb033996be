"""What pages show, read by the console's own users."""

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, Generic, NamedTuple, TypeVar

from console.bulk import AT_MOST
from console.cluster import Cluster
from console.letters import Wanted as ThoseLetters
from console.letters import order_of
from console.mails import Unsent
from console.monitors import limits
from console.orders import Show
from console.orders import Wanted as ThoseOrders
from console.trail import Wanted as ThoseEntries
from saga_operator.policy.policy import LISTED_AT_MOST
from saga_operator.resource import Monitor
from sagactl.access import Access
from sagactl.faults import AbsentError, Fault, UnavailableError, answered
from sagactl.oncall import finding, stocking, trails
from sagactl.oncall.books import Books
from sagactl.oncall.broker import QUEUES, DeadLetter
from sagactl.oncall.discarded import Discarded
from sagactl.oncall.explain.explanation import Glance, Preview
from sagactl.oncall.explain.reading import Reader, Seen, every_letter
from sagactl.oncall.finding import Hit
from sagactl.oncall.invariants import Case
from sagactl.oncall.jobs.job import Verb
from sagactl.oncall.live.judging import STILL
from sagactl.oncall.live.looking import AT_ONCE
from sagactl.oncall.overdue import overdue
from sagactl.oncall.repair.looking import plans_in
from sagactl.oncall.repair.plan import Plan
from sagactl.oncall.status import reading as status
from sagactl.oncall.status.standing import Status as Standing
from sagactl.oncall.stocking import Change, Restocking, StockFacts
from sagactl.oncall.trails import Told, Wanted
from sagactl.oncall.waits import Notes, noted
from services.notification import queries as notifications
from services.notification.domain import Notification
from services.order import queries
from services.order.model import Order, Status
from services.shared.contract.audit import TRAILS, Action
from services.shared.http.cursors import Cursor
from services.shared.kept import Kept

ROWS: Final = 50
HITS_AT_MOST: Final = 20
# To look at a dead letter counts as one of its deliveries, of which it has a million: not for every viewer.
LETTERS_SECONDS: Final = 3.0
SIGHT_SECONDS: Final = 5.0
# A page waits for what it shows; to call a message missing takes two looks, six seconds apart.
READ_SECONDS: Final = 15.0
# What is looked for in all orders there are takes its time.
FIND_SECONDS: Final = 70.0
# Beside what has failed.
REST_SECONDS: Final = 5.0
NO_SIGHT: Final = f"in {SIGHT_SECONDS:g} seconds nobody could tell where the messages of these orders are"
# However many look.
STATUS_SECONDS: Final = 2.0
# So long each part of it is waited for.
STATUS_WITHIN_SECONDS: Final = 8.0
# The broker notes how much is in a queue as often.
NOTES_SECONDS: Final = 5.0
# A plan tells of so many what the rules would do.
PREVIEWED_AT_MOST: Final = 50
ENTRIES_AT_MOST: Final = 200
# Of who acted last.
ACTS_AT_MOST: Final = 10
ACTS_SECONDS: Final = 5.0
# Those on whose trail is what was done to the shop: that of auth has who signed in, which are many.
OF_ACTS: Final = tuple(each for each in TRAILS if each != "auth")
# Of those that were discarded; sagactl finds the others.
DISCARDED_AT_MOST: Final = 1000
Found = TypeVar("Found")


class Read(NamedTuple, Generic[Found]):
    """What was read; or the sentence why it could not be."""

    found: Found | None
    failed: str = ""


async def tried(work: Awaitable[Found], within: float = READ_SECONDS) -> Read[Found]:
    """A server that does not answer `within` so many seconds is a sentence on the page, where the rest of it
    may still be of use.
    """
    found = await answered(work, within)
    return Read(None, found.says) if isinstance(found, Fault) else Read(found)


class Shop:
    """All methods raise what `sagactl.faults` knows: PyMongoError, BrokerError, AMQPError, OSError."""

    def __init__(self, access: Access, books: Books, cluster: Cluster | None, order_service: str) -> None:
        """`order_service`: by which name monitors know ours. `cluster`: None where none can be asked."""
        self._access, self._books = access, books
        self._cluster, self._order_service = cluster, order_service
        self._orders = books.store("order")
        self._letters = Kept(self._look_at_letters)
        self._notes = Kept(self._look_at_notes)
        self._status = Kept(self._look_at_status)
        self._acts = Kept(self._look_at_acts)
        self._reader = Reader(access, letters=self._kept_letters)

    async def now(self) -> datetime:
        return await self._books.now()

    async def status(self) -> Standing:
        return await self._status.get()

    async def case(self, order_id: str) -> Case:
        (case,) = await self._books.these([order_id])
        return case

    async def explained(self, order_id: str) -> Seen:
        return await self._reader.explained(self._books, order_id)

    async def verdicts(self, orders: Sequence[Order]) -> Mapping[str, Glance]:
        """By the order's id, what one look says of it: it may be in doubt, unlike what `explained` says.

        A list does not wait for it as long as for a page that is about nothing else.
        """
        try:
            async with asyncio.timeout(SIGHT_SECONDS):
                told = await self._reader.at_first_sight(self._books, [order.id for order in orders])
        except TimeoutError as error:
            raise UnavailableError(NO_SIGHT) from error
        return {each.order: each for each in told}

    async def orders(
        self, wanted: ThoseOrders, after: Cursor | None
    ) -> tuple[Sequence[Order], Cursor | None]:
        """A page of them."""
        found, following = await self._listed(wanted, ROWS, after)
        there = [*filter(wanted.fits, found)]
        # The newest are first: what is older than is wanted ends the list.
        return there, following if len(there) == len(found) else None

    async def all_orders(self, wanted: ThoseOrders) -> Sequence[Order]:
        """All of them, perhaps one too many; none for every order there is."""
        if wanted.is_empty:
            return ()
        found, _ = await self._listed(wanted, AT_MOST + 1, None)
        if wanted.show is Show.ATTENTION and len(found) > AT_MOST:
            return found  # beyond them there may be others that fit
        return [*filter(wanted.fits, found)]

    async def _listed(
        self, wanted: ThoseOrders, limit: int, after: Cursor | None
    ) -> tuple[Sequence[Order], Cursor | None]:
        match wanted.show:
            case Show.ALL:
                return await queries.page(self._orders, None, wanted.status, limit, after or wanted.start)
            case Show.ATTENTION:
                return await queries.needing_attention(self._orders, limit), None

    async def stuck(self) -> tuple[Sequence[Order], datetime]:
        """Those that are open for too long, the longest first, perhaps one too many; and when that was."""
        now = await self.now()
        return await overdue(self._orders, now, ROWS + 1), now

    async def monitors(self) -> Sequence[tuple[Monitor, Sequence[Order] | None]] | None:
        """Each with the orders that are stale by its policy, None where they are none of ours; nothing where
        there is no cluster to be asked.
        """
        if self._cluster is None:
            return None
        now = await self.now()
        return [(each, await self._stale(each, now)) for each in await self._cluster.monitors()]

    async def _stale(self, monitor: Monitor, now: datetime) -> Sequence[Order] | None:
        policy = limits(monitor, self._order_service)
        if policy is None:
            return None
        found = [
            order
            for status, age in policy.limits.items()
            for order in await queries.stale(self._orders, Status(status), now - age, LISTED_AT_MOST)
        ]
        return sorted(found, key=lambda order: order.waits_since)

    async def mails(self, state: Unsent | None) -> Sequence[Notification]:
        """The latest that are in that state, or in any."""
        return await notifications.latest(self._books.store("notification"), state, ROWS)

    async def mail(self, id_: str) -> Notification | None:
        """By its notification."""
        return await self._books.store("notification").get(Notification, id_)

    async def letters(self) -> Sequence[DeadLetter]:
        return await self._letters.get()

    async def letter(self, queue: str, id_: str) -> DeadLetter | None:
        return next((each for each in await self.letters() if (each.queue, each.id) == (queue, id_)), None)

    async def preview(self, letter: DeadLetter) -> Preview | None:
        """What redriving it would do; None where it is about no order."""
        if not order_of(letter):
            return None
        (found,) = await self._reader.previews(self._books, [letter])
        return found

    async def discarded(self, queue: str) -> tuple[Sequence[Discarded], timedelta | None]:
        """Those of the queue, or of all if that is empty, the latest first; and for how long each is kept:
        None where nobody told the database.
        """
        kept = self._books.discarded
        return await kept.latest(queue or None, DISCARDED_AT_MOST), await kept.lasting()

    async def chosen(self, verb: Verb, wanted: ThoseLetters) -> Sequence[DeadLetter]:
        """Of those that are dead; or, to be restored, of those that were discarded."""
        return [letter for letter in await self._all_for(verb, wanted.queue) if wanted.fits(letter)]

    async def _all_for(self, verb: Verb, queue: str) -> Sequence[DeadLetter]:
        if verb is not Verb.RESTORE:
            return await self.letters()
        found, _ = await self.discarded(queue)
        # Those of one id are restored together.
        return [*{(each.queue, each.message): each.letter for each in found}.values()]

    async def previews(self, letters: Sequence[DeadLetter]) -> Sequence[Preview]:
        """Of those that are about orders, at most so many."""
        some = [letter for letter in letters if order_of(letter)][:PREVIEWED_AT_MOST]
        return await self._reader.previews(self._books, some)

    def forget_letters(self) -> None:
        """They are others by now."""
        self._letters.forget()

    async def mending(self, order_id: str) -> Plan:
        """What would make the order's books sound, by what is to be seen at once."""
        (plan,) = await plans_in(self._books, self._access, [order_id], STILL, AT_ONCE)
        return plan

    async def product(self, id_: str) -> tuple[StockFacts, Sequence[Change]] | None:
        """It, and what people said of its stock, the latest first; None where nobody knows it."""
        try:
            found = await stocking.facts(self._books, id_)
        except AbsentError:
            return None
        return found, (await stocking.changes(self._books, id_, ROWS)).items

    async def restocking(self, product: str, pieces: int) -> Restocking | None:
        """What would come of it; None where inventory knows no such product."""
        try:
            return await stocking.restocking(self._books, product, pieces)
        except AbsentError:
            return None

    async def trail(self, wanted: ThoseEntries) -> Sequence[Told]:
        """The latest entries of all services."""
        query = Wanted(None, wanted.actor or None, wanted.subject or None, _action(wanted.action))
        return await trails.told(self._books, query, ENTRIES_AT_MOST)

    async def last_acts(self) -> Sequence[Told]:
        """Latest actions of users, logins left out."""
        return await self._acts.get()

    async def _look_at_acts(self) -> tuple[Sequence[Told], float]:
        return await trails.told(self._books, Wanted(), ACTS_AT_MOST, OF_ACTS), ACTS_SECONDS

    async def hits(self, text: str) -> Read[Sequence[Hit]]:
        """What is found where it can be looked for; and why it could not be, elsewhere."""
        books, letters = await asyncio.gather(
            tried(finding.in_books(self._books, text, HITS_AT_MOST), FIND_SECONDS), tried(self.letters())
        )
        hits = [*(books.found or ()), *finding.of_letters(letters.found or (), text)]
        return Read(hits, books.failed or letters.failed)

    async def _kept_letters(self, _: str) -> Sequence[DeadLetter]:
        return await self.letters()

    async def notes(self) -> Mapping[str, Notes]:
        """By queue, what the broker has noted of its last ten minutes."""
        return await self._notes.get()

    async def _look_at_status(self) -> tuple[Standing, float]:
        return await status.read(self._books, self._access, STATUS_WITHIN_SECONDS), STATUS_SECONDS

    async def _look_at_notes(self) -> tuple[Mapping[str, Notes], float]:
        found = await noted(self._access.management_url, self._access.amqp_url, QUEUES)
        return found, NOTES_SECONDS

    async def _look_at_letters(self) -> tuple[Sequence[DeadLetter], float]:
        return await every_letter(self._access.amqp_url), LETTERS_SECONDS


def _action(name: str) -> Action | None:
    """None for one that there is not."""
    return Action(name) if name in set(Action) else None
