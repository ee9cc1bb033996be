"""Jobs that people began here: kept in the console's own database, carried out by one replica at a time.

Whoever carries one out holds it for a while, and for longer with every change that is written down. A replica
that was killed holds it no more, and another goes on from what is written. It is held by the job's own
document, so that nobody can write a change to what is another's by then.
"""

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Generic, Never, Protocol, Self, TypeVar

from msgspec import Struct, field
from pymongo import ASCENDING, DESCENDING, IndexModel, ReturnDocument
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import DuplicateKeyError

from console import asking, bulk, ordering
from console.bulk import OrderJob
from console.ordering import Login
from console.services import Refused, Services
from sagactl.access import Access
from sagactl.faults import fault
from sagactl.oncall.jobs.job import Change, Job
from sagactl.oncall.jobs.working import ACTIONS, carry_out
from services.shared.contract.audit import Action, By
from services.shared.database.store import Document, Store, from_document, to_document
from services.shared.emails import hidden

COLLECTION: Final = "jobs"
KEPT: Final = timedelta(days=30)
INDEXES: Final[Mapping[str, Sequence[IndexModel]]] = {
    COLLECTION: [IndexModel("job.begunAt", expireAfterSeconds=int(KEPT.total_seconds()))]
}
A_SECOND: Final = 20.0
# Longer than anything takes between two changes of a job that is under way.
HELD: Final = timedelta(minutes=2)
FOLLOWED_SECONDS: Final = 15.0
# What is on its way yet is looked for less and less often, and at last not any more.
PAUSE: Final = timedelta(seconds=2)
LONGEST_PAUSE: Final = timedelta(minutes=1)
FORSAKEN_AFTER: Final = timedelta(days=1)
# Between two looks for a job that another replica has left.
LOOK_SECONDS: Final = 2.0
POLL_SECONDS: Final = 0.1
log = logging.getLogger(__name__)


class Kept(Struct, frozen=True, rename="camel", kw_only=True):
    """A job, and whose it is."""

    id: str = field(name="_id")
    by: By
    job: Job | OrderJob
    # Something is to be done, or to be waited for.
    open: bool = True
    # When it is looked at next; this and the next by the database's clock.
    due: datetime
    # When whoever has it was last heard of; None while nobody has it.
    held_at: datetime | None = None
    holder: str = ""
    # Why it stands still; empty while it does not.
    trouble: str = ""
    # Who wants nothing more of it to be done; empty while nobody does.
    stopped_by: str = ""


class _LostError(Exception):
    """Another replica has it by now."""


class _StoppedError(Exception):
    """Somebody wants nothing more of it to be done."""


class Jobs:
    """All methods raise PyMongoError where MongoDB does not answer."""

    def __init__(self, access: Access, store: Store, services: Services, changed: Callable[[], None]) -> None:
        """`changed` is told whenever dead letters may be others."""
        self._access, self._store, self._services, self._changed = access, store, services, changed
        # By the job, whose token it is done with: in the memory of this replica alone.
        self._logins: dict[str, Login] = {}
        self._kept: AsyncCollection[Document] = store.database[COLLECTION]
        self._new = asyncio.Event()

    async def begin(self, job: Job | OrderJob, login: Login) -> None:
        """A job that is there already, by its id, is left as it is: a form may be sent twice."""
        kept = Kept(id=job.id, by=login.by, job=job, due=job.begun_at)
        if isinstance(job, OrderJob):
            self._logins.setdefault(job.id, login)
        try:
            await self._kept.insert_one(to_document(kept))
        except DuplicateKeyError:
            return
        self._new.set()

    async def get(self, id_: str) -> Kept | None:
        document = await self._kept.find_one({"_id": id_})
        return None if document is None else from_document(Kept, document)

    async def latest(self, limit: int) -> Sequence[Kept]:
        found = self._kept.find().sort("job.begunAt", DESCENDING).limit(limit)
        return [from_document(Kept, document) async for document in found]

    async def go_on(self, id_: str, login: Login) -> None:
        """With a job with orders: what is left of it is done by this login."""
        self._logins[id_] = login
        await self._kept.update_one({"_id": id_, "open": True}, [{"$set": {"due": "$$NOW"}}])
        self._new.set()

    def waits_for_a_login(self, kept: Kept) -> bool:
        """Nobody is at it, and it is no job that anybody may go on with."""
        is_held = kept.held_at is not None and datetime.now(UTC) - kept.held_at < HELD
        is_ours = isinstance(kept.job, OrderJob) and kept.open and not kept.stopped_by
        return is_ours and not is_held and kept.id not in self._logins

    async def stop(self, id_: str, by: str) -> None:
        """Of what is open nothing more is done, and nothing more is looked for. What was done stays done."""
        wanted = {"_id": id_, "open": True, "stoppedBy": {"$in": ["", None]}}
        await self._kept.update_one(wanted, [{"$set": {"stoppedBy": {"$literal": by}, "due": "$$NOW"}}])
        self._new.set()

    async def over(self, id_: str, within: float) -> None:
        """Returns once nothing is left of it to be done, or so many seconds later."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                while (kept := await self.get(id_)) is not None and kept.open:
                    await asyncio.sleep(POLL_SECONDS)

    # --- to carry out ---------------------------------------------------------------------------------------

    async def work(self) -> Never:
        """Whatever is due, one after the other."""
        is_prepared = False
        while True:
            self._new.clear()
            try:
                if not is_prepared:
                    await self._store.prepare(INDEXES)
                    is_prepared = True
                while (kept := await self._taken()) is not None:
                    await self._carry(kept)
            except Exception as error:
                known = fault(error)
                if known is None:
                    raise
                log.warning("jobs stand still: %s", known.says)
            await self._woken()

    async def _woken(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(LOOK_SECONDS):
                await self._new.wait()

    async def _taken(self) -> Kept | None:
        """One that is due, and is ours from now on."""
        is_due = {"$lte": ["$due", "$$NOW"]}
        is_free = {"$lte": ["$heldAt", _from_now(-HELD)]}
        document = await self._kept.find_one_and_update(
            {"open": True, "$expr": {"$and": [is_due, is_free]}, **self._is_for_us()},
            {"$set": {"holder": secrets.token_hex(8)}, "$currentDate": {"heldAt": True}},
            sort=[("due", ASCENDING)],
            return_document=ReturnDocument.AFTER,
        )
        return None if document is None else from_document(Kept, document)

    def _is_for_us(self) -> Document:
        """With orders something is done only where somebody's login is; one that was stopped anybody ends."""
        is_anybodys, is_stopped = {"job.kind": Job.__name__}, {"stoppedBy": {"$nin": ["", None]}}
        return {"$or": [is_anybodys, is_stopped, {"_id": {"$in": [*self._logins]}}]}

    async def _work_at(self, kept: Kept) -> None:
        job, login = kept.job, self._logins.get(kept.id)
        if isinstance(job, OrderJob):
            if login is not None:
                ask = self._asking(bulk.ACTIONS[job.verb], kept, login.by)
                await ordering.carry_out(self._services, _Held(self._kept, kept, job), ask, login, A_SECOND)
            return
        await carry_out(
            self._access,
            _Held(self._kept, kept, job),
            self._asking(ACTIONS[job.verb], kept, kept.by),
            kept.by.actor,
            rate=A_SECOND,
            within=FOLLOWED_SECONDS,
        )

    def _asking(self, action: Action, kept: Kept, by: By) -> Callable[[str], Awaitable[None]]:
        async def ask(detail: str) -> None:
            await asking.ask(self._store, by, action, f"job {kept.id}", detail, kept.job.reason)

        return ask

    async def _carry(self, kept: Kept) -> None:
        trouble, stopped = "", bool(kept.stopped_by)
        try:
            if not stopped:
                await self._work_at(kept)
        except Refused as error:
            trouble = str(error)
            if error.code in ordering.OF_THE_LOGIN:
                self._logins.pop(kept.id, None)
            log.warning("job %s stands still: %s", kept.id, trouble)
        except _StoppedError:
            stopped = True
        except _LostError:
            log.warning("job %s is carried out by another replica by now", kept.id)
            return
        except Exception as error:
            known = fault(error)
            if known is None:
                raise
            trouble = known.says
            log.warning("job %s stands still: %s", kept.id, trouble)
        finally:
            self._changed()
        await self._leave(kept, trouble, stopped=stopped)

    async def _leave(self, kept: Kept, trouble: str, *, stopped: bool) -> None:
        now = await self.get(kept.id)
        age = datetime.now(UTC) - kept.job.begun_at
        is_open = not (stopped or now is None or now.job.is_over) and age < FORSAKEN_AFTER
        if not is_open:
            self._logins.pop(kept.id, None)
        pause = max(PAUSE, min(LONGEST_PAUSE, age / 10))
        left = {
            "open": is_open,
            "due": _from_now(pause),
            "heldAt": None,
            "holder": "",
            "trouble": {"$literal": trouble},
        }
        await self._kept.update_one({"_id": kept.id, "holder": kept.holder}, [{"$set": left}])


class _Steps(Protocol):
    def after(self, changes: Iterable[Any]) -> Self: ...


Steps = TypeVar("Steps", bound=_Steps)


class _Held(Generic[Steps]):
    """A job that is ours, with every change written down."""

    def __init__(self, all_: AsyncCollection[Document], kept: Kept, job: Steps) -> None:
        self.job = job
        self._all, self._kept = all_, kept

    async def add(self, *changes: Change | bulk.Change) -> None:
        """The job does not stand still then. Raises, once they are written down, _StoppedError where somebody
        wants no more to be done; and _LostError where somebody else has it by now.
        """
        steps = {
            f"job.steps.{change.step}.{name}": value
            for change in changes
            for name, value in (("outcome", str(change.outcome)), ("why", hidden(change.why)))
        }
        written = {"$set": {**steps, "trouble": ""}, "$currentDate": {"heldAt": True}}
        ours = {"_id": self._kept.id, "holder": self._kept.holder}
        found = await self._all.find_one_and_update(ours, written, {"stoppedBy": 1})
        if found is None:
            raise _LostError
        self.job = self.job.after(changes)
        if found.get("stoppedBy"):
            raise _StoppedError


def _from_now(time: timedelta) -> Document:
    """So much later than now, by the database's clock."""
    return {"$add": ["$$NOW", int(time.total_seconds() * 1000)]}
