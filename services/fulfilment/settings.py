"""The fulfilment service's settings."""

from typing import ClassVar

from services.shared.settings import EngineSettings, Port


class FulfilmentSettings(EngineSettings):
    service: ClassVar[str] = "fulfilment"
    port: Port = 3009
