"""A notification as a mail, in the customer's language: pure.

Whatever comes from outside (names, reasons) is text, in the HTML as in the headers.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from functools import cache
from hashlib import sha256
from importlib.resources import files
from io import BytesIO
from typing import Any, Final, NamedTuple

import css_inline
from babel import Locale, UnknownLocaleError
from babel.dates import format_date
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import format_decimal, parse_pattern
from babel.support import NullTranslations, Translations
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from services.shared import emails
from services.shared.contract.events import (
    OrderCancelled,
    OrderEvent,
    OrderPaid,
    OrderPartiallyRefunded,
    OrderRefunded,
    RefundRequested,
    SoldLine,
)
from services.shared.contract.money import EXPONENTS

LANGUAGES: Final = ("en", "de")
# Event -> its templates: `paid.subject.txt`, `paid.txt`, `paid.html`.
TEMPLATES: Final[Mapping[type[OrderEvent], str]] = {
    OrderPaid: "paid",
    OrderCancelled: "cancelled",
    RefundRequested: "refund_requested",
    OrderPartiallyRefunded: "partially_refunded",
    OrderRefunded: "refunded",
}
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


def compose(id_: str, to: Address, at: datetime, event: OrderEvent, sender: Sender) -> EmailMessage:
    """The mail of the event `id_`: the same one, to the byte, whenever it is asked for.
    `to` is a `mailbox_of`.
    """
    locale = locale_of(getattr(event, "locale", None), sender.locale)
    text, html, subject = written(event, at, locale, plain(sender.address.display_name))
    writer = _by_dns(sender.address)
    domain = writer.domain
    mail = EmailMessage(policy=SMTP)
    mail["From"] = writer
    mail["To"] = to
    if sender.reply_to is not None:
        mail["Reply-To"] = _by_dns(sender.reply_to)
    mail["Subject"] = subject
    mail["Date"] = at
    mail["Message-ID"] = f"<{_id(id_)}@{domain}>"
    mail["References"] = f"<order.{_id(event.order_id)}@{domain}>"
    # RFC 3834: nobody's holiday note is an answer to it.
    mail["Auto-Submitted"] = "auto-generated"
    mail["X-Auto-Response-Suppress"] = "All"
    mail.set_content(text, cte="quoted-printable")
    mail.add_alternative(html, subtype="html", cte="quoted-printable")
    mail["Content-Language"] = str(locale).replace("_", "-")
    mail.set_boundary(f"=_{_hash(id_)[:32]}")
    return mail


def written(event: OrderEvent, at: datetime, locale: Locale, shop: str) -> tuple[str, str, str]:
    """Text, HTML and subject."""
    name, environment = TEMPLATES[type(event)], _environment(locale.language)
    values = {
        "shop": shop,
        "language": locale.language,
        "order": plain(event.order_id),
        "date": format_date(at, "long", locale),
        **_values(event, locale),
    }
    text, html, subject = (
        environment.get_template(f"{name}.{kind}").render(values) for kind in ("txt", "html", "subject.txt")
    )
    return text.strip() + "\n", _INLINE.inline(html), plain(subject)


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


def money(amount: Decimal, currency: str, locale: Locale) -> str:
    """With the decimals that ISO 4217 gives the currency, which CLDR may not know."""
    decimals = EXPONENTS.get(currency)
    if decimals is None or not amount.is_finite():
        return plain(f"{amount} {currency}")
    pattern = parse_pattern(locale.currency_formats["standard"].pattern)
    pattern.frac_prec = (decimals, decimals)
    return str(pattern.apply(amount, locale, currency=currency, currency_digits=False))


def plain(text: str) -> str:
    """In one line, as it is read."""
    return " ".join(_UNPRINTABLE.sub(" ", text).split())


def _values(event: OrderEvent, locale: Locale) -> dict[str, Any]:
    match event:
        case OrderPaid():
            lines = [_line(line, event.currency, locale) for line in event.products]
            return {"total": money(event.total_price, event.currency, locale), "lines": lines}
        case OrderPartiallyRefunded():
            return {
                "amount": money(event.amount, event.currency, locale),
                "total": money(event.refunded_total, event.currency, locale),
            }
        case OrderRefunded():
            return {"total": money(event.total_price, event.currency, locale)}
        case OrderCancelled():
            return {"reason": event.reason}
        case RefundRequested():
            return {"reason": plain(event.reason)}
    raise TypeError(event)


def _line(line: SoldLine, currency: str, locale: Locale) -> dict[str, str]:
    """Older publishers name no product, and no price."""
    price = "" if line.price is None else money(line.price * line.quantity, currency, locale)
    quantity = format_decimal(line.quantity, locale=locale)
    return {"quantity": quantity, "name": plain(line.name) or plain(line.product_id), "price": price}


@cache
def _environment(language: str) -> Environment:
    environment = Environment(
        loader=PackageLoader("services.notification"),
        autoescape=select_autoescape(["html"], default=False),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    environment.policies["ext.i18n.trimmed"] = True
    install = environment.install_gettext_translations  # type: ignore[attr-defined]  # the extension's
    install(_translations(language), newstyle=True)
    return environment


def _translations(language: str) -> NullTranslations:
    """What is written in the templates, in another language than theirs."""
    if language == LANGUAGES[0]:
        return NullTranslations()
    source = files("services.notification") / "templates" / f"{language}.po"
    compiled = BytesIO()
    write_mo(compiled, read_po(BytesIO(source.read_bytes()), locale=language))
    compiled.seek(0)
    return Translations(compiled)


def mailbox_of(recipient: str) -> Address:
    """Raises ValueError where that is no address."""
    try:
        emails.parse(recipient)
        user, _, domain = recipient.strip().rpartition("@")
        return _by_dns(Address("", user, domain))
    except ValueError as error:
        raise ValueError("this is no e-mail address") from error


def _by_dns(address: Address) -> Address:
    """Its domain as DNS knows it. Raises ValueError."""
    domain = address.domain.encode("idna").decode("ascii")
    return Address(plain(address.display_name), address.username, domain)


def _id(text: str) -> str:
    """What is an id already; anybody else's, who may have written anything, by its hash."""
    return text if _PLAIN_ID.fullmatch(text) else _hash(text)


def _hash(text: str) -> str:
    return sha256(text.encode(errors="surrogatepass")).hexdigest()
