"""Settings of the services that send mail: who writes, and the server that takes it on."""

from email.headerregistry import Address
from pathlib import Path
from typing import Annotated, Final, NamedTuple, Self
from urllib.parse import unquote, urlsplit

from pydantic import Field, field_validator, model_validator

from services.shared import emails
from services.shared.settings import Settings
from services.shared.tls import check_authorities
from services.shared.urls import with_password

# How a mail server is spoken to, and where it listens unless its URL says so.
SCHEMES: Final = {"smtp": 25, "smtp+starttls": 587, "smtps": 465}


class Server(NamedTuple):
    """A mail server that takes mail on for others to deliver."""

    host: str
    port: int
    # One of SCHEMES: without TLS, with TLS after a plain greeting, or with TLS from the start.
    scheme: str
    user: str | None
    password: str | None


class MailSettings(Settings):
    # The mail server: smtp://, smtp+starttls:// or smtps://USER@HOST:PORT. Empty: no mail is sent.
    smtp_url: str = ""
    # Of the user in that URL, where it is not in there.
    smtp_password: str = ""
    # Authorities (PEM) that it is believed by, beside those that every client believes.
    smtp_ca_file: Path | None = None
    # Connections to it, each for one mail at a time.
    smtp_connections: Annotated[int, Field(ge=2, le=64)] = 8
    # So long it may take over one mail.
    smtp_timeout_seconds: Annotated[float, Field(gt=0, le=45)] = 30
    # Who writes, as in `Tea & Cups <orders@shop.example>`: the name is the shop's, in all mails.
    mail_from: str = ""
    # Where answers go, if elsewhere.
    mail_reply_to: str = ""
    # What customers are written in who asked for nothing that there is.
    mail_locale: Annotated[str, Field(pattern=r"^(en|de)(-[A-Z]{2})?$")] = "en"

    @property
    def server(self) -> Server | None:
        """None where no mail is sent. Raises ValueError, with a sentence that tells no password."""
        if not self.smtp_url:
            return None
        try:
            parts = urlsplit(self.smtp_url)
            port = parts.port
        except ValueError:
            parts, port = urlsplit(""), None
        if parts.scheme not in SCHEMES or not parts.hostname or parts.path.strip("/") or parts.query:
            raise ValueError("give smtp://, smtp+starttls:// or smtps://USER@HOST:PORT")
        user = unquote(parts.username) if parts.username else None
        password = unquote(parts.password) if parts.password else None
        if parts.scheme == "smtp" and user:
            raise ValueError("a password is sent by TLS alone: give smtp+starttls:// or smtps://")
        return Server(parts.hostname, port or SCHEMES[parts.scheme], parts.scheme, user, password)

    @property
    def sender(self) -> Address:
        """Of MAIL_FROM. Raises ValueError."""
        return address(self.mail_from)

    @property
    def answers_go_to(self) -> Address | None:
        """Of MAIL_REPLY_TO. Raises ValueError."""
        return address(self.mail_reply_to) if self.mail_reply_to else None

    @field_validator("smtp_ca_file", mode="before")
    @classmethod
    def _none_if_empty(cls, file: object) -> object:
        return file or None

    @field_validator("smtp_ca_file")
    @classmethod
    def _ca_is_believable(cls, file: Path | None) -> Path | None:
        if file is not None:
            check_authorities(file)
        return file

    @field_validator("mail_from", "mail_reply_to")
    @classmethod
    def _is_an_address(cls, text: str) -> str:
        if text:
            address(text)
        return text

    @model_validator(mode="after")
    def _can_be_sent(self) -> Self:
        self.smtp_url = with_password(self.smtp_url, self.smtp_password)
        if self.server is not None and not self.mail_from:
            raise ValueError("SMTP_URL is given, so MAIL_FROM is, too: `Name <address>`")
        return self


def address(text: str) -> Address:
    """`Name <address>`, or an address alone. Raises ValueError."""
    name, bracket, rest = text.strip().rpartition("<")
    bare = rest.removesuffix(">") if bracket else text.strip()
    try:
        emails.parse(bare)
        return Address(display_name=name.strip().strip('"'), addr_spec=bare)
    except (ValueError, IndexError) as error:
        raise ValueError("this is no `Name <address>`") from error
