"""Settings of the auth service."""

from datetime import timedelta
from typing import Annotated, Any, ClassVar, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from services.auth.sealing import Seals
from services.auth.strength import check_password
from services.shared import emails
from services.shared.settings import DatabaseSettings, Port


class AuthSettings(DatabaseSettings):
    service: ClassVar[str] = "auth"
    port: Port = 3001
    # The first administrator. A password that is changed here takes effect at the next start.
    admin_email: str | None = None
    admin_password: SecretStr | None = None
    # What seals the secrets in the database: keys in Base64, the newest first, separated by commas. There is
    # no default: with a key that everybody knows nothing would be sealed.
    secrets_key: SecretStr
    # Whether an administrator's token needs a second factor to be one.
    require_totp: bool = False
    # Tokens of letters go to the log, where everybody who reads it can use them: for a machine of one's own.
    log_mail_tokens: bool = False
    # How long a key signs. Fractions are for tests.
    signing_key_days: Annotated[float, Field(gt=0, le=365)] = 30
    # Passwords hashed at the same time: each takes a core and 19 MiB.
    hash_concurrency: Annotated[int, Field(ge=1, le=64)] = 2

    @property
    def signing_key_age(self) -> timedelta:
        return timedelta(days=self.signing_key_days)

    @property
    def seals(self) -> Seals:
        return Seals.parse(self.secrets_key.get_secret_value())

    @model_validator(mode="before")
    @classmethod
    def _has_a_key(cls, given: dict[str, Any]) -> dict[str, Any]:
        if not given.get("secrets_key"):
            raise ValueError("set SECRETS_KEY: 32 random bytes in Base64, from `openssl rand -base64 32`")
        return given

    @field_validator("secrets_key")
    @classmethod
    def _check_key(cls, text: SecretStr) -> SecretStr:
        Seals.parse(text.get_secret_value())
        return text

    @model_validator(mode="after")
    def _check_admin(self) -> Self:
        if (self.admin_email is None) != (self.admin_password is None):
            raise ValueError("ADMIN_EMAIL and ADMIN_PASSWORD come together")
        if self.admin_email is not None and self.admin_password is not None:
            self.admin_email = emails.parse(self.admin_email)
            check_password(self.admin_password.get_secret_value(), self.admin_email)
        return self
