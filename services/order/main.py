"""The order service: `python -m services.order.main`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from fastapi import FastAPI

from services.order import api, internal, queries
from services.order.catalogue import Catalogue
from services.order.domain import domain
from services.order.entrance import Entrance
from services.order.metrics import count_orders, observe
from services.order.operators import TokenReviewer
from services.order.pressure import Pressure
from services.order.settings import OrderSettings
from services.order.shedding import tell
from services.order.watching import Watching
from services.shared.contract.decisions import Decision, Message
from services.shared.database.counting import counting
from services.shared.database.store import UNAVAILABLE
from services.shared.engine.life import Engine, engine_life
from services.shared.http.app import ReadinessCheck, create_app
from services.shared.http.serving import serve
from services.shared.http.streams import Streams


def make_app(settings: OrderSettings) -> FastAPI:
    pressure = Pressure()

    def observed(message: Message, decision: Decision) -> None:
        observe(message, decision)
        pressure.observe(message, decision)

    engine = engine_life(
        lambda: Engine(settings, domain(settings.terms), indexes=queries.INDEXES, observe=observed),
        counting(count_orders),
        partial(tell, pressure),
    )

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[ReadinessCheck]:
        app.state.catalogue = Catalogue(app.state.http, settings.product_url)
        in_cluster = settings.internal_auth == "kubernetes"
        app.state.reviewer = (
            await TokenReviewer.connect(settings.operator_audience, settings.operators)
            if in_cluster
            else None
        )
        try:
            async with engine(app) as readiness:
                app.state.watching = _begin_watching(app, settings)
                yield readiness
        finally:
            if app.state.reviewer is not None:
                await app.state.reviewer.close()

    app = create_app(settings, api.router, life, also=[internal.router], unavailable=UNAVAILABLE)
    app.state.pressure = pressure
    return app


def _begin_watching(app: FastAPI, settings: OrderSettings) -> Watching:
    engine: Engine = app.state.engine
    streams = Streams(settings.max_connections, settings.max_streams_per_customer)
    watching = Watching(engine.store, streams, settings.max_stream_seconds, app.state.stopping)
    engine.background.run(watching.run(), "watching")
    engine.background.run_once(watching.end(), "the end of streams")
    return watching


if __name__ == "__main__":
    settings = OrderSettings.given()
    app = make_app(settings)
    serve(app, settings, Entrance(app.state.pressure))
