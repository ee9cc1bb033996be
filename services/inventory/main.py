"""The inventory service: `python -m services.inventory.main`."""

from fastapi import FastAPI

from services.inventory.api import router
from services.inventory.domain import domain
from services.inventory.queries import INDEXES
from services.inventory.settings import InventorySettings
from services.shared.database.store import UNAVAILABLE
from services.shared.engine.life import Engine, engine_life
from services.shared.http.app import create_app
from services.shared.http.serving import serve


def make_app(settings: InventorySettings) -> FastAPI:
    auto = settings.compensation_auto

    def engine() -> Engine:
        return Engine(settings, domain(auto_compensation=auto), indexes=INDEXES, auto_compensation=auto)

    return create_app(settings, router, engine_life(engine), unavailable=UNAVAILABLE)


if __name__ == "__main__":
    settings = InventorySettings.given()
    serve(make_app(settings), settings)
