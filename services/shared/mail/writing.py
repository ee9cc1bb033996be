"""What a mail consists of, whatever it says: pure.

Whatever comes from outside (names, reasons) is text, in the HTML as in the headers.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from functools import cache
from hashlib import sha256
from importlib.resources import files
from io import BytesIO
from typing import Any, Final, NamedTuple

import css_inline
import idna
from babel import Locale, UnknownLocaleError
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import NullTranslations, Translations
from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined, select_autoescape

from services.shared import emails

LANGUAGES: Final = ("en", "de")
# With the layout that all mails have, and its translations.
LAYOUT: Final = "services.shared.mail"
# What ends a line or turns the direction of writing has no place in a name.
_UNPRINTABLE: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]+")
# RFC 5322's dot-atom, or what of it we write.
_PLAIN_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")
_INLINE: Final = css_inline.CSSInliner(keep_at_rules=True, load_remote_stylesheets=False)


class Sender(NamedTuple):
    """Who writes."""

    address: Address
    # Where answers go, if elsewhere.
    reply_to: Address | None
    # What customers are written in who asked for nothing that there is.
    locale: str

    @property
    def shop(self) -> str:
        """Its name, as it is read; empty where there is none."""
        return plain(self.address.display_name)


class Content(NamedTuple):
    """What a mail says."""

    locale: Locale
    subject: str
    text: str
    html: str


def written(package: str, name: str, locale: Locale, values: Mapping[str, Any]) -> Content:
    """By the templates `name.subject.txt`, `name.txt` and `name.html` of a service's package.

    `shop` is one of the values, for the layout.
    """
    environment = _environment(package, locale.language)
    known = {"language": locale.language, **values}
    text, html, subject = (
        environment.get_template(f"{name}.{kind}").render(known) for kind in ("txt", "html", "subject.txt")
    )
    return Content(locale, plain(subject), text.strip() + "\n", _INLINE.inline(html))


def compose(
    id_: str, to: Address, at: datetime, content: Content, sender: Sender, about: str = ""
) -> EmailMessage:
    """The mail `id_`: the same one, to the byte, whenever it is asked for.

    `to` is a `mailbox_of`. Mails about the same thing, by its id, are shown together.
    """
    writer = _by_dns(sender.address)
    domain = writer.domain
    mail = EmailMessage(policy=SMTP)
    mail["From"] = writer
    mail["To"] = to
    if sender.reply_to is not None:
        mail["Reply-To"] = _by_dns(sender.reply_to)
    mail["Subject"] = content.subject
    mail["Date"] = at
    mail["Message-ID"] = f"<{header_id(id_)}@{domain}>"
    if about:
        mail["References"] = f"<{about}@{domain}>"
    # RFC 3834: nobody's holiday note is an answer to it.
    mail["Auto-Submitted"] = "auto-generated"
    mail["X-Auto-Response-Suppress"] = "All"
    mail.set_content(content.text, cte="quoted-printable")
    mail.add_alternative(content.html, subtype="html", cte="quoted-printable")
    mail["Content-Language"] = str(content.locale).replace("_", "-")
    mail.set_boundary(f"=_{_hash(id_)[:32]}")
    return mail


def locale_of(wanted: str | None, otherwise: str) -> Locale:
    """The first of the two that there is a translation for."""
    for tag in (wanted, otherwise):
        for part in (tag, (tag or "").partition("-")[0]):
            try:
                locale = Locale.parse(part or "", sep="-")
            except (ValueError, UnknownLocaleError):
                continue
            if locale.language in LANGUAGES:
                return locale
    return Locale(LANGUAGES[0])


def plain(text: str) -> str:
    """In one line, as it is read."""
    return " ".join(_UNPRINTABLE.sub(" ", text).split())


def mailbox_of(recipient: str) -> Address:
    """Raises ValueError where that is no address."""
    try:
        user, _, domain = emails.parse(recipient).rpartition("@")
        return _by_dns(Address("", user, domain))
    except ValueError as error:
        raise ValueError("this is no e-mail address") from error


def header_id(text: str) -> str:
    """What is an id already; anybody else's, who may have written anything, by its hash."""
    return text if _PLAIN_ID.fullmatch(text) else _hash(text)


@cache
def _environment(package: str, language: str) -> Environment:
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(package), PackageLoader(LAYOUT)]),
        autoescape=select_autoescape(["html"], default=False),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    environment.policies["ext.i18n.trimmed"] = True
    install = environment.install_gettext_translations  # type: ignore[attr-defined]  # the extension's
    translations = _translations(package, language)
    translations.add_fallback(_translations(LAYOUT, language))
    install(translations, newstyle=True)
    return environment


def _translations(package: str, language: str) -> NullTranslations:
    """What is written in the templates, in another language than theirs."""
    if language == LANGUAGES[0]:
        return NullTranslations()
    source = files(package) / "templates" / f"{language}.po"
    compiled = BytesIO()
    write_mo(compiled, read_po(BytesIO(source.read_bytes()), locale=language))
    compiled.seek(0)
    return Translations(compiled)


def _by_dns(address: Address) -> Address:
    """Its domain as DNS knows it. Raises ValueError.

    By IDNA 2008: Python's own codec is that of 2003, to which straße.example is strasse.example, somebody
    else's.
    """
    domain = address.domain
    domain = domain.encode("idna").decode() if domain.isascii() else idna.encode(domain, uts46=True).decode()
    return Address(plain(address.display_name), address.username, domain)


def _hash(text: str) -> str:
    return sha256(text.encode(errors="surrogatepass")).hexdigest()
