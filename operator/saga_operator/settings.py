"""What the operator is told by its environment."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ORDER_TOKEN_FILE = "/var/run/secrets/sagashop.io/order/token"  # noqa: S105 - a path


@dataclass(frozen=True)
class Settings:
    namespaces: tuple[str, ...]
    """Those served; none means all of them."""
    token_namespaces: frozenset[str]
    """Those whose Services may be sent the operator's own token."""
    order_token_file: Path
    metrics_port: int
    liveness_port: int
    log_level: str

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> "Settings":
        served = _names(environment.get("WATCH_NAMESPACE", ""))
        own = _names(environment.get("POD_NAMESPACE", ""))
        return cls(
            namespaces=served,
            token_namespaces=frozenset(_names(environment.get("TOKEN_NAMESPACES", "")) or served or own),
            order_token_file=Path(environment.get("ORDER_TOKEN_FILE", ORDER_TOKEN_FILE)),
            metrics_port=int(environment.get("METRICS_PORT", "8081")),
            liveness_port=int(environment.get("LIVENESS_PORT", "8080")),
            log_level=environment.get("LOG_LEVEL", "info").lower(),
        )


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())
