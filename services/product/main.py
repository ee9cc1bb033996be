"""The product service: `python -m services.product.main`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from services.product.api import router
from services.product.domain import PRODUCTS
from services.product.queries import INDEXES, Catalogue
from services.product.settings import ProductSettings
from services.product.stock import Stocks
from services.shared.database.store import UNAVAILABLE
from services.shared.engine.life import Engine, engine_life
from services.shared.http.app import ReadinessCheck, create_app
from services.shared.http.serving import serve


def make_app(settings: ProductSettings) -> FastAPI:
    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[ReadinessCheck]:
        async with engine_life(lambda: Engine(settings, PRODUCTS, indexes=INDEXES))(app) as readiness:
            engine: Engine = app.state.engine
            app.state.catalogue = Catalogue(engine.store, engine.redis)
            app.state.stocks = Stocks(app.state.http, settings.inventory_url)
            yield readiness

    return create_app(settings, router, life, unavailable=UNAVAILABLE)


if __name__ == "__main__":
    settings = ProductSettings.given()
    serve(make_app(settings), settings)
