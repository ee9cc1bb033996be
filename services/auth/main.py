"""The auth service: `python -m services.auth.main`."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from fastapi import FastAPI
from pymongo.errors import PyMongoError

from services.auth import administrator, api, by_mail, custody, leaving, resealing, second_factor, staff
from services.auth.desk import Desk
from services.auth.keys import KeyRing
from services.auth.passwords import Passwords
from services.auth.posting import Posting
from services.auth.queries import INDEXES, Accounts, SigningKeys
from services.auth.settings import AuthSettings
from services.shared.database.clock import Clock
from services.shared.database.store import UNAVAILABLE, Store, connect, trouble
from services.shared.health import Readiness, in_background
from services.shared.http.app import ReadinessCheck, create_app
from services.shared.http.auth import Tokens
from services.shared.http.serving import serve
from services.shared.mail.sending import Post, post_office

RETRY_SECONDS: Final = 1.0
# Between two looks whether all is there.
LOOK_SECONDS: Final = 5.0
log = logging.getLogger(__name__)


def make_app(settings: AuthSettings) -> FastAPI:
    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[ReadinessCheck]:
        if settings.server is None:
            log.info("no mail is sent: there is no SMTP_URL, and letters expire unsent")
        client = connect(settings.mongodb_url)
        store = Store(client, settings.database)
        clock = Clock(client)
        keys = KeyRing(SigningKeys(store), clock, settings.signing_key_age, settings.seals)
        desk = Desk(
            settings,
            Accounts(store),
            Passwords(settings.hash_concurrency),
            keys,
            clock,
            store.trail,
            settings.seals,
            asyncio.Event(),
        )
        app.state.desk = desk
        # The service checks its own tokens by the keys that it holds.
        app.state.tokens = Tokens(keys.published, settings.jwt_issuer, settings.jwt_audience, at_hand=True)
        begun = asyncio.Event()

        async def readiness() -> Readiness:
            try:
                await client.admin.command("ping")
            except PyMongoError as error:
                return Readiness(ready=False, detail=trouble(error))
            if not begun.is_set():
                return Readiness(ready=False, detail="the database is not prepared yet")
            return Readiness(ready=True, detail="ok")

        try:
            async with (
                post_office(settings) as post,
                in_background(_work(desk, store, begun, post), "keys, clock and letters") as background,
            ):
                app.state.background = background
                yield readiness
        finally:
            await client.close()

    also = (each.router for each in (by_mail, second_factor, staff, leaving, custody))
    return create_app(settings, api.router, life, also=also, unavailable=UNAVAILABLE)


async def _work(desk: Desk, store: Store, begun: asyncio.Event, post: Post | None) -> None:
    """Runs in the background: the process answers its probes while the database starts."""
    await asyncio.gather(_keep_prepared(desk, store, begun), _turn(desk, begun, post))


async def _turn(desk: Desk, begun: asyncio.Event, post: Post | None) -> None:
    await begun.wait()
    await asyncio.gather(
        desk.clock.run(),
        desk.keys.run(),
        resealing.run(desk.accounts, desk.seals),
        *([] if post is None else [_posting(desk, post)]),
    )


async def _posting(desk: Desk, post: Post) -> None:
    await Posting(desk.settings, desk.accounts, desk.seals, desk.clock, post).run(desk.letter_added)


async def _keep_prepared(desk: Desk, store: Store, begun: asyncio.Event) -> None:
    """A database may come back empty, as where its server lost the volume: no index, no administrator.

    Customers may have registered since: it is the index that tells, and then all is done until it is done.
    """
    while True:
        try:
            if not begun.is_set() or not await desk.accounts.are_indexed():
                begun.clear()
                await _prepare(desk, store)
                begun.set()
        except PyMongoError as error:
            log.warning("waiting: %s: %s", trouble(error), error)
        await asyncio.sleep(LOOK_SECONDS if begun.is_set() else RETRY_SECONDS)


async def _prepare(desk: Desk, store: Store) -> None:
    await store.prepare(INDEXES)
    await desk.clock.sync()
    await desk.keys.turn()
    await administrator.seed(desk)


if __name__ == "__main__":
    settings = AuthSettings.given()
    serve(make_app(settings), settings)
