"""Settings that every service has, read from the environment and from files in SECRETS_DIR."""

import os
from typing import Annotated, ClassVar, Final, Literal, Self

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

Port = Annotated[int, Field(ge=1, le=65535)]


class Settings(BaseSettings):
    """An environment variable wins over a file of the same (lower-case) name in SECRETS_DIR."""

    model_config = SettingsConfigDict(extra="ignore", secrets_dir=os.environ.get("SECRETS_DIR") or None)

    # The service's own name: a constant of its class, whatever SERVICE says in somebody's shell.
    service: ClassVar[str]
    host: str = "0.0.0.0"  # noqa: S104  # a service in a container is there to be reached
    port: Port
    # Where metrics are read; empty: at /metrics of the service's own port.
    metrics_port: Port | None = None
    # Open at the same time; where there are more, those go first that have asked for nothing.
    max_connections: Annotated[int, Field(ge=10, le=100_000)] = 1000
    # Until a request's headers have arrived, and until all of it has.
    header_timeout_seconds: Annotated[float, Field(gt=0)] = 10
    request_timeout_seconds: Annotated[float, Field(gt=0)] = 20
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    # auto: for people where stdout is a terminal, JSON elsewhere.
    log_format: Literal["auto", "console", "json"] = "auto"
    jwks_url: str = "http://127.0.0.1:3001/.well-known/jwks.json"
    jwt_issuer: str = "sagashop"
    jwt_audience: str = "sagashop"

    @classmethod
    def given(cls) -> Self:
        """Those of this process. Raises SystemExit, with a sentence about each variable that is wrong.

        The values are not told: one of them may be a password, and the sentences get into a log.
        """
        try:
            return cls()
        except ValidationError as error:
            faults = [_sentence(fault["loc"], fault["msg"]) for fault in error.errors()]
            raise SystemExit("\n".join(faults)) from None


def _sentence(where: tuple[int | str, ...], message: str) -> str:
    name = ".".join(map(str, where)).upper() or "settings"
    return f"{name}: {message.removeprefix('Value error, ')}"


class DatabaseSettings(Settings):
    mongodb_url: str = "mongodb://127.0.0.1:27017/?replicaSet=rs0"
    # The service's own name unless given.
    mongodb_database: str = ""

    @property
    def database(self) -> str:
        return self.mongodb_database or self.service


class EngineSettings(DatabaseSettings):
    """Of the services that consume or publish events."""

    amqp_url: str = "amqp://guest:guest@127.0.0.1:5672/"
    redis_url: str = "redis://127.0.0.1:6379/0"
    commit_max_batch: Annotated[int, Field(ge=1, le=1000)] = 100
    commit_linger_ms: Annotated[float, Field(ge=0, le=1000)] = 30
    commit_queue_size: Annotated[int, Field(ge=1)] = 2000


BODY_LIMIT_BYTES: Final = 64 * 1024
