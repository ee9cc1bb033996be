"""A service of this process on a real socket, served as the service serves itself."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from fastapi import FastAPI

from sagactl.polling import until
from services.shared.http.protocol import TurnAway, nobody
from services.shared.http.serving import make_server
from services.shared.settings import Settings
from tests.integration.room import PATIENCE
from tests.ports import free_port

AnySettings = TypeVar("AnySettings", bound=Settings)


@asynccontextmanager
async def serving(
    make_app: Callable[[AnySettings], FastAPI], settings: AnySettings, turn_away: TurnAway = nobody
) -> AsyncIterator[str]:
    """The URL at which it answers; whether it is ready is another question."""
    here = settings.model_copy(update={"host": "127.0.0.1", "port": free_port()})
    app = make_app(here)
    server = make_server(app, here, turn_away)
    task = asyncio.create_task(server.serve())

    async def started() -> bool:
        return server.started or task.done()

    try:
        await until(started, within=PATIENCE, what="the server to start")
        yield f"http://127.0.0.1:{here.port}"
    finally:
        app.state.stopping.set()  # as the signal would
        server.should_exit = True
        await task
