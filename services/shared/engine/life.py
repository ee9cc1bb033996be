"""A service at work: its database, its broker, its committer and what else runs in the background."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Annotated, Any, Final

from fastapi import Depends, FastAPI, Request
from pymongo import ASCENDING, IndexModel
from pymongo.errors import PyMongoError

from services.shared.cache import connect_redis
from services.shared.contract import topology
from services.shared.contract.decisions import Decision, Domain, Message
from services.shared.contract.events import CONSUMES
from services.shared.database.clock import Clock
from services.shared.database.store import Store, connect
from services.shared.engine.broker import Broker, Submit
from services.shared.engine.commit import INBOX, Committer
from services.shared.engine.effects import Effects, EffectStage
from services.shared.engine.hints import Hints
from services.shared.engine.outbox import OUTBOX, REPLICAS, Outbox
from services.shared.health import Background, Readiness
from services.shared.settings import EngineSettings

INBOX_DAYS: Final = 14
DRAIN_SECONDS: Final = 10.0
RETRY_SECONDS: Final = 1.0
ENGINE_INDEXES: Final[dict[str, Sequence[IndexModel]]] = {
    # An id is handled once per queue: whoever commits second is turned away by this index.
    INBOX: (
        IndexModel("ids", unique=True),
        IndexModel("at", expireAfterSeconds=INBOX_DAYS * 24 * 3600),
    ),
    OUTBOX: (IndexModel([("at", ASCENDING)]),),
    REPLICAS: (),
}
log = logging.getLogger(__name__)


class Engine:
    """Runs a domain. Routes read from `store` and act through `execute`."""

    def __init__(
        self,
        settings: EngineSettings,
        domain: Domain,
        *,
        indexes: Mapping[str, Sequence[IndexModel]],
        effects: Callable[[Store], Mapping[str, Effects]] = lambda _: {},
        observe: Callable[[Message, Decision], None] = lambda *_: None,
        auto_compensation: bool = True,
    ) -> None:
        self.settings = settings
        self._client = connect(settings.mongodb_url)
        self.store = Store(self._client, settings.database)
        self.clock = Clock(self._client)
        self.redis = connect_redis(settings.redis_url)
        self._indexes = {**ENGINE_INDEXES, **indexes}
        subscriptions = (
            topology.subscriptions(settings.service, auto_compensation=auto_compensation)
            if settings.service in CONSUMES
            else {}
        )
        self.broker = Broker(
            settings.amqp_url,
            settings.service,
            self.clock,
            subscriptions=subscriptions,
            prefetch=2 * settings.commit_max_batch,
        )
        self._outbox = Outbox(self.store, self.broker, self.clock)
        batching = {
            "max_batch": settings.commit_max_batch,
            "linger_seconds": settings.commit_linger_ms / 1000,
        }
        self._committer = Committer(
            self.store,
            domain,
            self._outbox,
            Hints(self.redis),
            self.clock,
            queue_size=settings.commit_queue_size,
            observe=observe,
            **batching,  # type: ignore[arg-type]  # two of its keywords
        )
        self._stages = {
            queue: EffectStage(self.store, effect, self._committer.submit, **batching)  # type: ignore[arg-type]
            for queue, effect in effects(self.store).items()
        }
        self._submit: Mapping[str, Submit] = {
            queue: self._stages[queue].submit if queue in self._stages else self._committer.submit
            for queue in subscriptions
        }
        self.background = Background()

    async def execute(self, command: object, *, id_: str) -> Decision:
        return await self._committer.execute(command, id_=id_)

    # --- life -------------------------------------------------------------------------------------------

    def start(self, *background: Coroutine[Any, Any, None]) -> None:
        """Begins in the background: the process answers its probes while database and broker come up."""
        self.background.run_once(self._begin(background), "start")

    async def stop(self) -> None:
        """Takes nothing more in, finishes what is at hand, and leaves nothing to wait for."""
        await self.broker.drain()
        with suppress(TimeoutError):  # what is left over, others sweep
            async with asyncio.timeout(DRAIN_SECONDS):
                await self._committer.drain()
                await self._outbox.drain()
        await self.background.stop()
        try:
            await self._outbox.retire()
        except PyMongoError as error:
            log.warning("others will notice by the heartbeat that this replica is gone: %s", error)
        await self.broker.close()
        await self.redis.aclose()
        await self._client.close()

    async def readiness(self) -> Readiness:
        if not self.broker.consumed_once.is_set():
            return Readiness(ready=False, detail="not consuming yet")
        try:
            await self._client.admin.command("ping")
        except PyMongoError as error:
            return Readiness(ready=False, detail=f"the database is away: {type(error).__name__}")
        # The outbox takes orders while the broker is away.
        return Readiness(ready=True, detail="ok" if self.broker.connected else "degraded: the broker is away")

    async def _begin(self, background: Sequence[Coroutine[Any, Any, None]]) -> None:
        while True:
            try:
                await self.store.prepare(self._indexes)
                await self.clock.sync()
                break
            except PyMongoError as error:
                log.warning("waiting for the database: %s", error)
                await asyncio.sleep(RETRY_SECONDS)
        self.background.run(self.clock.run(), "clock")
        self.background.run(self._committer.run(), "committer")
        self.background.run(self._outbox.run_relay(), "relay")
        self.background.run(self._outbox.run_clearing(), "clearing")
        self.background.run(self._outbox.run_sweep(), "sweep")
        for queue, stage in self._stages.items():
            self.background.run(stage.run(), f"effects of {queue}")
        self.background.run(self.broker.run(self._submit), "broker")
        for number, work in enumerate(background):
            self.background.run(work, f"background {number}")


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
