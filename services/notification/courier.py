"""What happened, to the endpoints: deliveries are made of it, and sent, one at a time of an order.

An endpoint is one replica's at a time, and so is the making of deliveries. A delivery is written before it is
sent, and what became of it after: whoever dies between the two leaves it to be sent again, with the same id.
"""

import asyncio
import logging
import random
import time
from collections.abc import Collection, Coroutine, Mapping
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import Any, Final, NamedTuple

from pymongo.errors import PyMongoError

from services.notification import metrics, queries, signing
from services.notification.caller import MOST_CALLS, Caller
from services.notification.cloudevents import EventType, Happened, written
from services.notification.deliveries import ANSWERS_WITHIN, Answer, Delivery, answered, made
from services.notification.domain import Notification
from services.notification.endpoints import (
    AdvanceReplay,
    Endpoint,
    EndpointState,
    Replay,
    ReportTry,
    ResealSecrets,
    is_news,
    owner,
)
from services.notification.endpoints import signing as sealed_secrets
from services.shared.contract.decisions import NotFound, Unavailable
from services.shared.database.new_id import new_id
from services.shared.engine.holding import LOOK_SECONDS, Holds
from services.shared.engine.life import Engine
from services.shared.sealing import CannotBeOpened, Seals
from services.shared.waiting import end

# Notifications that deliveries are made of at once.
PAGE: Final = 500
# Of a look, so that what is held is renewed meanwhile.
MAKING_SECONDS: Final = 2.0
# Calls to one endpoint at a time, ...
AT_ONCE: Final = 4
# ... and one at a time after so many failures in a row.
FAILURES: Final = 5
# Calls that are under way when a replica stops have so long for their answers.
DRAIN_SECONDS: Final = 2.0
# By which a replica holds the making of deliveries; endpoints it holds by their ids.
FEED: Final = "feed"
log = logging.getLogger(__name__)


class Sender(NamedTuple):
    """What a call needs beside what it is about."""

    caller: Caller
    # None where no key is given: then no endpoint has a secret either.
    seals: Seals | None
    # The URL, or the path, that the shop's API is at.
    base: str

    async def send(
        self, endpoint: Endpoint, id_: str, event: Happened, at: datetime, seconds: float = ANSWERS_WITHIN
    ) -> Answer:
        """What the endpoint says within so many seconds."""
        began, body = time.perf_counter(), written(event, self.base)
        try:
            headers = signing.headers(id_, at, body, self._secrets(endpoint, at))
        except CannotBeOpened as error:
            return Answer(None, str(error))
        answer = await self.caller.call(endpoint.url, headers, body, seconds)
        metrics.observe_call(answer, time.perf_counter() - began)
        return answer

    def resealed(self, endpoint: Endpoint) -> dict[str, str]:
        """What of its secrets an older key has sealed, and how the newest does. What no key opens stays."""
        found: dict[str, str] = {}
        for secret in endpoint.secrets:
            if self.seals is not None and not self.seals.is_newest(secret.sealed):
                with suppress(CannotBeOpened):
                    opened = self.seals.open(secret.sealed, owner(endpoint.id))
                    found[secret.sealed] = self.seals.seal(opened, owner(endpoint.id))
        return found

    def _secrets(self, endpoint: Endpoint, at: datetime) -> list[bytes]:
        if self.seals is None:
            raise CannotBeOpened("there is no WEBHOOKS_KEY")
        return [self.seals.open(each, owner(endpoint.id)) for each in sealed_secrets(endpoint, at)]


async def carry(sender: Sender, engine: Engine) -> None:
    """Work for the background."""
    await Courier(engine, sender).run()


class Courier:
    """Of one replica."""

    def __init__(self, engine: Engine, sender: Sender) -> None:
        self._engine, self._store, self._clock = engine, engine.store, engine.clock
        self._sender = sender
        self._holds = Holds(engine.store, engine.clock)
        self._slots = asyncio.Semaphore(MOST_CALLS)
        # Endpoint -> what sends to it.
        self._posts: dict[str, _Post] = {}

    async def run(self) -> None:
        """Until it is cancelled."""
        await self._holds.attend(self._look, "webhooks", self._stop_all)

    async def _look(self) -> None:
        endpoints = {each.id: each for each in await queries.endpoints(self._store)}
        await self._holds.keep({FEED, *endpoints})
        if FEED in self._holds:
            await self._make_deliveries()
        held = {id_: endpoint for id_, endpoint in endpoints.items() if id_ in self._holds}
        waiting = await queries.with_waiting(self._store)
        await self._drop(waiting, endpoints)
        for endpoint in held.values():
            await self._reseal(endpoint)
        await self._stop(self._posts.keys() - held.keys())
        for id_, endpoint in held.items():
            if id_ not in self._posts:
                self._posts[id_] = _Post(self._engine, self._sender, self._holds, self._slots, endpoint)
            self._posts[id_].look(endpoint, has_work=id_ in waiting)

    async def _reseal(self, endpoint: Endpoint) -> None:
        if sealed := self._sender.resealed(endpoint):
            command = ResealSecrets(endpoint_id=endpoint.id, sealed=sealed)
            with suppress(NotFound):  # it was deleted meanwhile
                await self._engine.execute(command, id_=new_id(), by=None)

    async def _drop(self, waiting: Collection[str], endpoints: Mapping[str, Endpoint]) -> None:
        """What waits for one that is disabled, by who holds it; for one that is deleted nobody does."""
        for id_ in waiting:
            if (FEED if id_ not in endpoints else id_) in self._holds:
                now = await queries.endpoint(self._store, id_)
                if now is None or now.state is not EndpointState.ENABLED:
                    await queries.drop(self._store, id_)

    async def _make_deliveries(self) -> None:
        """Of what nobody has been told yet. Made again, they are the same."""
        began = time.monotonic()
        while time.monotonic() - began < MAKING_SECONDS:
            news = await queries.untold(self._store, PAGE)
            if news:
                # Looked for after the news: whoever was there before something happened is told of it.
                endpoints, now = await queries.endpoints(self._store), self._clock.now()
                found = [made(each, endpoint, now) for each in news for endpoint in endpoints]
                await queries.insert(self._store, [each for each in found if each is not None])
                await queries.tell(self._store, [each.id for each in news])
            if len(news) < PAGE:
                return

    async def _stop_all(self) -> None:
        await self._stop(set(self._posts))

    async def _stop(self, endpoints: Collection[str]) -> None:
        """Side by side: each has some seconds for the answers that it waits for."""
        await asyncio.gather(*(self._posts[id_].stop() for id_ in endpoints))
        for id_ in endpoints:
            del self._posts[id_]


class _Post:
    """Sends to one endpoint, while this replica holds it."""

    def __init__(
        self, engine: Engine, sender: Sender, holds: Holds, slots: asyncio.Semaphore, endpoint: Endpoint
    ) -> None:
        self._engine, self._store, self._clock = engine, engine.store, engine.clock
        self._sender, self._holds, self._slots = sender, holds, slots
        self._endpoint = endpoint
        # In a row. Whoever takes an endpoint over that fails does not begin with trust.
        self._failures = FAILURES if endpoint.failing_since is not None else 0
        # Order -> its delivery that is under way.
        self._under_way: dict[str, asyncio.Task[None]] = {}
        self._sending: asyncio.Task[None] | None = None
        self._replaying: asyncio.Task[None] | None = None

    def look(self, endpoint: Endpoint, *, has_work: bool) -> None:
        """The endpoint as it is now."""
        self._endpoint = endpoint
        if endpoint.state is not EndpointState.ENABLED:
            return
        if has_work and (self._sending is None or self._sending.done()):
            self._sending = asyncio.create_task(self._supervised(self._send_all()))
        replay = endpoint.replay
        if replay is not None and not replay.done and (self._replaying is None or self._replaying.done()):
            self._replaying = asyncio.create_task(self._supervised(self._replay(replay)))

    async def stop(self) -> None:
        """Begins nothing more. What is not answered soon is cut off, and sent again by whoever is next."""
        for task in (self._sending, self._replaying):
            if task is not None:
                task.cancel()
        calls = list(self._under_way.values())
        if calls:
            _, late = await asyncio.wait(calls, timeout=DRAIN_SECONDS)
            for task in late:
                task.cancel()
        await end([each for each in (self._sending, self._replaying, *calls) if each is not None])

    async def _supervised(self, work: Coroutine[Any, Any, None]) -> None:
        """What ends in an error is begun again, and not at once."""
        try:
            await work
        except Exception as error:  # told, and tried again
            known = isinstance(error, (PyMongoError, Unavailable))
            log.warning("endpoint %s waits: %s", self._endpoint.id, error, exc_info=None if known else error)
            await asyncio.sleep(LOOK_SECONDS)

    @property
    def _may_go_on(self) -> bool:
        return self._endpoint.id in self._holds and self._endpoint.state is EndpointState.ENABLED

    # --- deliveries ---------------------------------------------------------------------------------------

    async def _send_all(self) -> None:
        """Until nothing is due."""
        while True:
            room = (AT_ONCE if self._failures < FAILURES else 1) - len(self._under_way)
            if room > 0 and self._may_go_on:
                await self._begin(room)
            if not self._under_way:
                return
            tasks = list(self._under_way.values())
            # What comes in meanwhile takes the room that is left.
            await asyncio.wait(tasks, timeout=LOOK_SECONDS, return_when=asyncio.FIRST_COMPLETED)

    async def _begin(self, room: int) -> None:
        now = self._clock.now()
        due = await queries.due(self._store, self._endpoint.id, now, but=self._under_way, limit=room)
        if not due:
            return
        happened = await queries.told(self._store, {each.event_id for each in due})
        # Looked for after what is due: whatever was done with it before is heeded.
        endpoint = await queries.endpoint(self._store, self._endpoint.id)
        if endpoint is None or endpoint.state is not EndpointState.ENABLED:
            return
        self._endpoint = endpoint
        for delivery in due:
            work = self._supervised(self._deliver(delivery, happened.get(delivery.event_id)))
            task = asyncio.create_task(work)
            self._under_way[delivery.order_id] = task
            task.add_done_callback(partial(self._ended, delivery.order_id))

    def _ended(self, order_id: str, _: "asyncio.Task[None]") -> None:
        del self._under_way[order_id]

    async def _deliver(self, delivery: Delivery, told: Notification | None) -> None:
        async with self._slots:
            if not self._may_go_on:  # any more
                return
            endpoint = self._endpoint
            answer = await self._try(endpoint, delivery, told)
        at = self._clock.now()
        # Fairness, no secret.
        after = answered(delivery, answer, at, random.random())  # noqa: S311
        await queries.record(self._store, delivery, after)
        self._failures = 0 if answer.is_success else self._failures + 1
        if not answer.is_success:
            log.info(
                "webhook %s to endpoint %s: %s; %s",
                *(delivery.id, endpoint.id, answer.reason, after.state),
                extra={"order_id": delivery.order_id, "attempts": after.attempts},
            )
        await self._report(answer, at)

    async def _try(self, endpoint: Endpoint, delivery: Delivery, told: Notification | None) -> Answer:
        if told is None or told.data is None:
            return Answer(None, "what happened is not there any more")
        event = Happened(told.id, delivery.type, told.order_id, told.at, told.sequence, told.data)
        try:
            return await self._sender.send(endpoint, delivery.id, event, self._clock.now())
        except Exception as error:
            log.exception("webhook %s is tried again", delivery.id)
            return Answer(None, f"a fault of ours: {type(error).__name__}")

    async def _report(self, answer: Answer, at: datetime) -> None:
        """To the endpoint, where that is news."""
        report = ReportTry(endpoint_id=self._endpoint.id, delivered=answer.is_success, gone=answer.is_gone)
        if is_news(self._endpoint, report, at):
            try:
                # Not on anybody's behalf.
                decision = await self._engine.execute(report, id_=new_id(), by=None)
            except NotFound:  # it was deleted meanwhile
                return
            if isinstance(decision.reply, Endpoint):
                self._endpoint = decision.reply

    # --- replays ------------------------------------------------------------------------------------------

    async def _replay(self, replay: Replay) -> None:
        """Page by page; whoever takes over goes on from the last one."""
        endpoint = self._endpoint
        while self._may_go_on and not replay.done:
            types = replay.types or endpoint.types or tuple(EventType)
            news, now = await queries.happened(self._store, replay, types, PAGE), self._clock.now()
            found = [made(each, endpoint, now, replay.id) for each in news]
            deliveries = [each for each in found if each is not None]
            await queries.insert(self._store, deliveries)
            await queries.again(self._store, deliveries, now)
            advance = AdvanceReplay(
                endpoint_id=endpoint.id,
                replay_id=replay.id,
                position=(news[-1].at, news[-1].id) if news else None,
                count=len(deliveries),
            )
            try:
                decision = await self._engine.execute(advance, id_=new_id(), by=None)
            except NotFound:  # it was deleted meanwhile
                return
            changed = decision.reply
            if not isinstance(changed, Endpoint) or changed.replay is None or changed.replay.id != replay.id:
                return
            replay = changed.replay
