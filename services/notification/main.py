"""Runs the notification service."""

from typing import Final

from fastapi import FastAPI
from pymongo import ASCENDING, IndexModel

from services.notification.api import router
from services.notification.domain import NOTIFICATIONS, Notification
from services.shared.app import create_app, engine_life, serve
from services.shared.engine import Engine
from services.shared.settings import EngineSettings, Port

INDEXES: Final = {Notification.collection: (IndexModel([("orderId", ASCENDING), ("at", ASCENDING)]),)}


class NotificationSettings(EngineSettings):
    service: str = "notification"
    port: Port = 3007


def make_app(settings: EngineSettings) -> FastAPI:
    life = engine_life(lambda: Engine(settings, NOTIFICATIONS, indexes=INDEXES))
    return create_app(settings, router, life)


if __name__ == "__main__":
    settings = NotificationSettings()
    serve(make_app(settings), settings)
