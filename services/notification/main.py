"""Runs the notification service."""

from typing import Annotated, Final

from fastapi import FastAPI
from pydantic import Field
from pymongo import ASCENDING, IndexModel

from services.notification.api import router
from services.notification.domain import NOTIFICATIONS, Notification
from services.shared.database.store import UNAVAILABLE
from services.shared.engine.life import Engine, engine_life
from services.shared.http.app import create_app, serve
from services.shared.settings import EngineSettings, Port

INDEXES: Final = {Notification.collection: (IndexModel([("orderId", ASCENDING), ("at", ASCENDING)]),)}


class NotificationSettings(EngineSettings):
    service: str = "notification"
    port: Port = 3007
    # Nobody waits for a notification within milliseconds: few large transactions.
    commit_linger_ms: Annotated[float, Field(ge=0, le=1000)] = 50


def make_app(settings: EngineSettings) -> FastAPI:
    life = engine_life(lambda: Engine(settings, NOTIFICATIONS, indexes=INDEXES))
    return create_app(settings, router, life, unavailable=UNAVAILABLE)


if __name__ == "__main__":
    settings = NotificationSettings()
    serve(make_app(settings), settings)
