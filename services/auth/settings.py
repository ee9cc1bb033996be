"""Settings of the auth service."""

from datetime import timedelta
from typing import Annotated, Any, ClassVar, Final, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from services.auth.letters import Kind
from services.auth.strength import check_password
from services.shared import emails
from services.shared.mail.settings import MailSettings
from services.shared.sealing import Seals
from services.shared.settings import DatabaseSettings, Port

PLACE: Final = "{token}"
LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
PAGE: Final = "give a page as https://shop.example/verify#{token}; http:// only on this machine"


class AuthSettings(MailSettings, DatabaseSettings):
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
    # Pages of the shop that take the token of a letter, as in `https://shop.example/verify#{token}`. Empty:
    # the letter has the token itself.
    verify_url: str = ""
    reset_url: str = ""
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

    def page_of(self, kind: Kind) -> str:
        """The page that takes tokens of this kind, with `{token}` for it; empty where there is none."""
        return {Kind.VERIFY: self.verify_url, Kind.RESET: self.reset_url}[kind]

    @field_validator("verify_url", "reset_url")
    @classmethod
    def _takes_a_token(cls, url: str) -> str:
        if url and not _is_page(url):
            raise ValueError(PAGE)
        return url

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


def _is_page(url: str) -> bool:
    """Whether a browser asks it where a token is put in, and only there: not as a name of a host."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return False
    safe = parts.scheme == "https" or (parts.scheme == "http" and host in LOOPBACK)
    written = url.isascii() and url.isprintable() and not set(' "<>\\^`') & set(url)
    once = url.count(PLACE) == 1 and not set("{}") & set(url.replace(PLACE, ""))
    return safe and bool(host) and written and once and PLACE not in parts.netloc and "@" not in parts.netloc
