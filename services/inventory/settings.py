"""The inventory service's settings."""

from typing import ClassVar

from services.shared.settings import EngineSettings, Port


class InventorySettings(EngineSettings):
    service: ClassVar[str] = "inventory"
    port: Port = 3005
    # React to a failed payment at once, ahead of the order's own release request.
    compensation_auto: bool = False
