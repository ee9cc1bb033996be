"""Settings that every service has, read from the environment and from files in SECRETS_DIR."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Final, Literal, Self

from pydantic import Field, PrivateAttr, ValidationError, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from services.shared import secret_files
from services.shared.schemas import ANYTHING, Schema, in_words, plain
from services.shared.tls import Identity, check_authorities
from services.shared.urls import with_password

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
    # Its certificate with the chain, and the key (PEM): with them it is reached by TLS alone.
    tls_cert_file: Path | None = None
    tls_key_file: Path | None = None
    # The authorities (PEM) that it believes as a client. OpenSSL itself reads the variable: see tls.py.
    ssl_cert_file: Path | None = None
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

    _secrets_read: str | None = PrivateAttr(default=None)

    @property
    def identity(self) -> Identity | None:
        """What the service shows its clients; None where it speaks plain HTTP."""
        if self.tls_cert_file is None or self.tls_key_file is None:
            return None
        return Identity(self.tls_cert_file, self.tls_key_file)

    @field_validator("ssl_cert_file")
    @classmethod
    def _believable(cls, file: Path | None) -> Path | None:
        if file is not None:
            check_authorities(file)
        return file

    @model_validator(mode="after")
    def _provable(self) -> Self:
        if (self.tls_cert_file is None) != (self.tls_key_file is None):
            raise ValueError("TLS_CERT_FILE and TLS_KEY_FILE are given together, or not at all")
        if self.identity is not None:
            self.identity.context()
        return self

    @property
    def secrets_read(self) -> str | None:
        """The fingerprint that the files in SECRETS_DIR had just before they were read; None without any."""
        return self._secrets_read

    @classmethod
    def given(cls) -> Self:
        """Those of this process. Raises SystemExit, with a sentence about each variable that is wrong.

        The values are not told: one of them may be a password, and the sentences get into a log.
        """
        folder = secret_files.folder()
        read = None if folder is None else secret_files.fingerprint(folder)
        try:
            found = cls()
        except (ValidationError, SettingsError) as error:
            raise SystemExit("\n".join(cls._sentences(error))) from None
        found._secrets_read = read
        return found

    @classmethod
    def wrong_now(cls) -> list[str]:
        """What `given` would say in a process that begins now, by this one's environment and the files."""
        return cls.wrong_in(os.environ)

    @classmethod
    def wrong_in(cls, environment: Mapping[str, str]) -> list[str]:
        """What `given` would say in a process with this environment; nothing where it could begin."""

        class There(cls):  # type: ignore[valid-type,misc]  # mypy knows no base that is a variable
            @classmethod
            def settings_customise_sources(
                cls, settings_cls: type[BaseSettings], **sources: PydanticBaseSettingsSource
            ) -> tuple[PydanticBaseSettingsSource, ...]:
                variables = EnvSettingsSource(settings_cls)
                variables.env_vars = {name.lower(): value for name, value in environment.items()}
                return variables, sources["file_secret_settings"]

        try:
            There()
        except (ValidationError, SettingsError) as error:
            return cls._sentences(error)
        return []

    @classmethod
    def _sentences(cls, error: ValidationError | SettingsError) -> list[str]:
        if isinstance(
            error, SettingsError
        ):  # no text, or not JSON where a list has to be; it names the setting
            return [f"settings: {error}"]
        schemas = cls.model_json_schema().get("properties", ANYTHING)
        return [_sentence(fault["loc"], fault["type"], fault["msg"], schemas) for fault in error.errors()]


def _sentence(where: tuple[int | str, ...], kind: str, message: str, schemas: Schema) -> str:
    """Rules of our own say themselves what is allowed; of others the schema does."""
    if not where:
        return f"settings: {message.removeprefix('Value error, ')}"
    name = str(where[0])
    if kind == "value_error":
        return f"{name.upper()}: {message.removeprefix('Value error, ')}"
    return f"{name.upper()}: give {in_words(plain(schemas[name], ANYTHING))}"


class DatabaseSettings(Settings):
    mongodb_url: str = "mongodb://127.0.0.1:27017/?replicaSet=rs0"
    # Of the user in that URL, where it is not in there; the same below.
    mongodb_password: str = ""
    # The service's own name unless given.
    mongodb_database: str = ""

    @property
    def database(self) -> str:
        return self.mongodb_database or self.service

    @model_validator(mode="after")
    def _log_in_to_the_database(self) -> Self:
        self.mongodb_url = with_password(self.mongodb_url, self.mongodb_password)
        return self


class EngineSettings(DatabaseSettings):
    """Of the services that consume or publish events."""

    amqp_url: str = "amqp://guest:guest@127.0.0.1:5672/"
    amqp_password: str = ""
    redis_url: str = "redis://127.0.0.1:6379/0"
    redis_password: str = ""
    commit_max_batch: Annotated[int, Field(ge=1, le=1000)] = 100
    commit_linger_ms: Annotated[float, Field(ge=0, le=1000)] = 30
    commit_queue_size: Annotated[int, Field(ge=1)] = 2000

    @model_validator(mode="after")
    def _log_in(self) -> Self:
        self.amqp_url = with_password(self.amqp_url, self.amqp_password)
        self.redis_url = with_password(self.redis_url, self.redis_password)
        return self


BODY_LIMIT_BYTES: Final = 64 * 1024
# What others tell us in a form of theirs may be longer.
WEBHOOK_LIMIT_BYTES: Final = 256 * 1024
