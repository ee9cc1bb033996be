"""The fulfilment service: `python -m services.fulfilment.main`."""

from fastapi import FastAPI

from services.fulfilment.api import router
from services.fulfilment.domain import SHIPPING
from services.fulfilment.queries import INDEXES
from services.fulfilment.settings import FulfilmentSettings
from services.shared.database.store import UNAVAILABLE
from services.shared.engine.life import Engine, engine_life
from services.shared.http.app import create_app
from services.shared.http.serving import serve


def make_app(settings: FulfilmentSettings) -> FastAPI:
    life = engine_life(lambda: Engine(settings, SHIPPING, indexes=INDEXES))
    return create_app(settings, router, life, unavailable=UNAVAILABLE)


if __name__ == "__main__":
    settings = FulfilmentSettings.given()
    serve(make_app(settings), settings)
