"""The notification service: `python -m services.notification.main`."""

from fastapi import FastAPI

from services.notification.api import router
from services.notification.domain import NOTIFICATIONS
from services.notification.queries import INDEXES
from services.notification.settings import NotificationSettings
from services.shared.database.store import UNAVAILABLE
from services.shared.engine.life import Engine, engine_life
from services.shared.http.app import create_app
from services.shared.http.serving import serve


def make_app(settings: NotificationSettings) -> FastAPI:
    life = engine_life(lambda: Engine(settings, NOTIFICATIONS, indexes=INDEXES))
    return create_app(settings, router, life, unavailable=UNAVAILABLE)


if __name__ == "__main__":
    settings = NotificationSettings.given()
    serve(make_app(settings), settings)
