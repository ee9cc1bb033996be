"""The product service's settings."""

from typing import ClassVar

from services.shared.settings import EngineSettings, Port


class ProductSettings(EngineSettings):
    service: ClassVar[str] = "product"
    port: Port = 3004
    inventory_url: str = "http://127.0.0.1:3005"
