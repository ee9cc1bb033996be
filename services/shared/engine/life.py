"""A service at work: its database, its broker, its committer and what else runs in the background."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Annotated, Any, Final

from fastapi import Depends, FastAPI, Request
from pymongo import ASCENDING, IndexModel
from pymongo.errors import PyMongoError

from services.shared.contract import topology
from services.shared.contract.audit import By
from services.shared.contract.decisions import Decision, Domain, Message, Unavailable
from services.shared.contract.events import CONSUMES
from services.shared.database.clock import Clock
from services.shared.database.store import Store, trouble
from services.shared.engine import edition, metrics
from services.shared.engine.asking import Asking, Clockwork
from services.shared.engine.availability import Availability
from services.shared.engine.batching import Batching
from services.shared.engine.commit import Committer
from services.shared.engine.consuming import STUCK_SECONDS, Consuming, Submit
from services.shared.engine.effects import Effects, EffectStage
from services.shared.engine.hints import Hints
from services.shared.engine.intake import Intake
from services.shared.engine.leases import OUTBOX, Leases
from services.shared.engine.links import Link
from services.shared.engine.outbox import Outbox
from services.shared.engine.publishing import Publishing
from services.shared.engine.surroundings import REAL, Surroundings
from services.shared.engine.sweep import Sweep
from services.shared.health import Background, Readiness
from services.shared.settings import EngineSettings

DRAIN_SECONDS: Final = 5.0
RETIRE_SECONDS: Final = 2.0
RETRY_SECONDS: Final = 1.0
# A connection to the broker that is made anew meanwhile does not make a replica unready.
CUT_OFF_SECONDS: Final = 15.0
# Nor does a broker that refuses it while its users are being made again.
REFUSED_SECONDS: Final = 15.0
# Between two looks whether the database is still the one that was prepared.
LOOK_SECONDS: Final = 5.0
# What is written at once, and looked for by the sweep: the rows that are due.
ENGINE_INDEXES: Final[dict[str, Sequence[IndexModel]]] = {OUTBOX: (IndexModel([("due", ASCENDING)]),)}
log = logging.getLogger(__name__)


class Engine:
    """Runs a domain. Routes read from `store` and act through `execute`."""

    def __init__(
        self,
        settings: EngineSettings,
        domain: Domain,
        *,
        indexes: Mapping[str, Sequence[IndexModel]],
        effects: Mapping[str, Effects] | None = None,
        asking: Asking | None = None,
        observe: Callable[[Message, Decision], None] = lambda *_: None,
        auto_compensation: bool = True,
        surroundings: Surroundings = REAL,
    ) -> None:
        self.settings = settings
        self._client = surroundings.database(settings.mongodb_url)
        self.store = Store(self._client, settings.database)
        self.clock = Clock(self._client)
        self.redis = surroundings.redis(settings.redis_url)
        self._indexes = {**ENGINE_INDEXES, **indexes}
        batching = Batching(settings.commit_max_batch, settings.commit_linger_ms / 1000)
        self._connect = surroundings.broker
        self._publishing = Publishing(
            settings.amqp_url,
            settings.service,
            self.clock,
            connect=self._connect,
            on_declared=self._on_declared,
        )
        rows = Leases(self.store)
        self._outbox = Outbox(rows, self._publishing, self.clock)
        self._sweep = Sweep(rows, self._publishing, self._outbox, self.clock)
        self._hints = Hints(self.redis)
        self._availability = Availability(self.store, self.clock)
        self._intake = Intake(domain, self.clock, batching, commands_at_most=settings.commit_queue_size)
        self._committer = Committer(
            self.store,
            domain,
            self._intake,
            self._outbox,
            self._hints,
            self.clock,
            availability=self._availability,
            observe=observe,
        )
        self._stages = {
            queue: EffectStage(self.store, domain.home, effect, self._intake.submit, batching)
            for queue, effect in (effects or {}).items()
        }
        self._clockwork = (
            Clockwork(self.store, asking, self._stages[asking.queue].submit, self.clock) if asking else None
        )
        self._subscriptions = (
            topology.subscriptions(settings.service, auto_compensation=auto_compensation)
            if settings.service in CONSUMES
            else {}
        )
        self._consuming = self._make_consuming() if self._subscriptions else None
        self.background = Background(surroundings.end)
        self._begun = False
        metrics.begin(settings.service, self._subscriptions, [asking.source] if asking else [])
        metrics.BROKER_UP.set_function(lambda: all(link.connected for link in self._links))

    def _make_consuming(self) -> Consuming:
        submit: Mapping[str, Submit] = {
            queue: self._stages[queue].submit if queue in self._stages else self._intake.submit
            for queue in self._subscriptions
        }
        return Consuming(
            self.settings.amqp_url,
            self.settings.service,
            self.clock,
            subscriptions=self._subscriptions,
            submit=submit,
            copier=self._publishing,
            prefetch=2 * self.settings.commit_max_batch,
            availability=self._availability,
            connect=self._connect,
        )

    @property
    def _links(self) -> tuple[Link, ...]:
        return (self._publishing,) if self._consuming is None else (self._publishing, self._consuming)

    async def execute(self, command: object, *, id_: str, by: By | None = None) -> Decision:
        """What becomes of a command over HTTP, once committed. `by`: who answers for it, for the audit trail.

        Where it turns out to have been carried out already, as after a commit whose answer was lost, the
        reply is its home as it is now. Raises what the decision raises, or Unavailable.
        """
        if not self._begun:
            # Until the database has been asked, the time would be that of this machine.
            raise Unavailable("the service is starting; nothing was done")
        return await self._intake.execute(command, id_=id_, by=by)

    # --- life -------------------------------------------------------------------------------------------

    def start(self, *background: Coroutine[Any, Any, None]) -> None:
        """Begins in the background: the process answers its probes while database and broker come up."""
        self.background.run_once(self._begin(background), "start")

    async def stop(self) -> None:
        """Takes nothing more in, finishes what is at hand, and leaves nothing to wait for."""
        if self._consuming is not None:
            await self._consuming.drain()
        with suppress(TimeoutError):  # what is left over, others publish
            async with asyncio.timeout(DRAIN_SECONDS):
                await self._committer.drain()
                await self._outbox.drain()
        await self.background.stop()
        try:
            async with asyncio.timeout(RETIRE_SECONDS):
                await self._outbox.retire()
        except (PyMongoError, TimeoutError) as error:
            log.warning("others publish the rest when its lease has ended: %s", error)
        for link in self._links:
            await link.close()
        await self.redis.aclose()
        await self._client.close()

    async def readiness(self) -> Readiness:
        """Not ready: without the database, refused, cut off while others publish, or with work undone."""
        try:
            await self._client.admin.command("ping")
            cut_off = await self._is_cut_off()
        except PyMongoError as error:
            return Readiness(ready=False, detail=trouble(error))
        if refusal := self._refusal():
            return Readiness(ready=False, detail=f"the broker refuses this service: {refusal}")
        if not all(link.connected_once.is_set() for link in self._links):
            return Readiness(ready=False, detail="not connected to the broker yet")
        if cut_off:
            return Readiness(ready=False, detail="cut off from the broker, which others reach")
        if stuck := self._stuck():
            return Readiness(ready=False, detail=f"for a minute nothing has moved in {', '.join(stuck)}")
        # The outbox takes orders while the broker is unavailable.
        connected = all(link.connected for link in self._links)
        return Readiness(ready=True, detail="ok" if connected else "degraded: the broker is unavailable")

    def _refusal(self) -> str:
        """What a broker says that lets this service in no more, or never has."""
        for link in self._links:
            waited = time.monotonic() - link.since > REFUSED_SECONDS
            if link.refusal and (waited or not link.connected_once.is_set()):
                return link.refusal
        return ""

    async def _is_cut_off(self) -> bool:
        down = [link for link in self._links if not link.connected]
        if not any(time.monotonic() - link.since > CUT_OFF_SECONDS for link in down):
            return False
        return await self._sweep.taken_over()

    def _stuck(self) -> list[str]:
        stuck = sorted(self._consuming.stuck) if self._consuming is not None else []
        if self._committer.has_work and time.monotonic() - self._committer.progressed > STUCK_SECONDS:
            stuck.append("the committer")
        return stuck

    async def _begin(self, background: Sequence[Coroutine[Any, Any, None]]) -> None:
        while True:
            try:
                await self._prepare()
                break
            except PyMongoError as error:
                log.warning("waiting: %s: %s", trouble(error), error)
                await asyncio.sleep(RETRY_SECONDS)
        self._begun = True
        run = self.background.run
        run(self._stay_prepared(), "preparation")
        run(self.clock.run(), "clock")
        run(self._committer.run(), "committer")
        run(self._hints.run(), "hints")
        run(self._outbox.run(), "relay")
        run(self._outbox.clearing.run(), "clearing")
        run(self._sweep.run(), "sweep")
        for queue, stage in self._stages.items():
            run(stage.run(), f"effects of {queue}")
        if self._clockwork is not None:
            run(self._clockwork.run(), "clockwork")
        run(self._publishing.run(), "publishing")
        if self._consuming is not None:
            run(self._consuming.run(), "consuming")
        for number, work in enumerate(background):
            run(work, f"background {number}")

    async def _prepare(self) -> None:
        await edition.check(self.store)
        await self.store.prepare(self._indexes)
        await edition.claim(self.store)
        await self.clock.sync()
        await edition.check_transaction_lifetime(self._client)

    async def _stay_prepared(self) -> None:
        """A database may come back empty, as where its server lost the volume: without indexes, too."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            with suppress(PyMongoError):  # it is away: whoever needs it says so
                if not await edition.is_claimed(self.store):
                    log.error("the database has come back empty: it is prepared anew")
                    await self._prepare()

    async def _on_declared(self) -> None:
        await self._sweep.wake()


ReadinessCheck = Callable[[], Awaitable[Readiness]]


def engine_life(
    make: Callable[[], Engine], *background: Callable[[Engine], Coroutine[Any, Any, None]]
) -> Callable[[FastAPI], AbstractAsyncContextManager[ReadinessCheck]]:
    """The life of a service that is an engine, and coroutines beside it."""

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[ReadinessCheck]:
        engine = make()
        app.state.engine, app.state.background = engine, engine.background
        engine.start(*(work(engine) for work in background))
        try:
            yield engine.readiness
        finally:
            await engine.stop()

    return life


async def _engine(request: Request) -> Engine:
    engine: Engine = request.app.state.engine
    return engine


# What routes ask for.
TheEngine = Annotated[Engine, Depends(_engine)]
