"""A notification as a mail, in the customer's language: pure."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from email.headerregistry import Address
from email.message import EmailMessage
from typing import Any, Final

from babel import Locale
from babel.dates import format_date
from babel.numbers import format_decimal, parse_pattern

from services.shared.contract.events import (
    OrderCancelled,
    OrderDelivered,
    OrderEvent,
    OrderPaid,
    OrderPartiallyRefunded,
    OrderRefunded,
    OrderShipped,
    RefundRequested,
    SoldLine,
)
from services.shared.contract.money import EXPONENTS
from services.shared.mail import writing
from services.shared.mail.writing import Content, Sender, locale_of, plain

PACKAGE: Final = "services.notification"
# Event -> its templates: `paid.subject.txt`, `paid.txt`, `paid.html`.
TEMPLATES: Final[Mapping[type[OrderEvent], str]] = {
    OrderPaid: "paid",
    OrderCancelled: "cancelled",
    RefundRequested: "refund_requested",
    OrderPartiallyRefunded: "partially_refunded",
    OrderRefunded: "refunded",
    OrderShipped: "shipped",
    OrderDelivered: "delivered",
}


def compose(
    id_: str, to: Address, at: datetime, event: OrderEvent, sender: Sender, sent_at: datetime | None = None
) -> EmailMessage:
    """The mail `id_` of an event that happened `at`: the same one, to the byte, whenever it is asked for.
    `to` is a `mailbox_of`; `sent_at` is later where somebody is told once more.
    """
    locale = locale_of(getattr(event, "locale", None), sender.locale)
    about = f"order.{writing.header_id(event.order_id)}"
    content = written(event, at, locale, sender.shop)
    return writing.compose(id_, to, sent_at or at, content, sender, about)


def written(event: OrderEvent, at: datetime, locale: Locale, shop: str) -> Content:
    values = {
        "shop": shop,
        "order": plain(event.order_id),
        "date": format_date(at, "long", locale),
        **_values(event, locale),
    }
    return writing.written(PACKAGE, TEMPLATES[type(event)], locale, values)


def money(amount: Decimal, currency: str, locale: Locale) -> str:
    """With the decimals that ISO 4217 gives the currency, which CLDR may not know."""
    decimals = EXPONENTS.get(currency)
    if decimals is None or not amount.is_finite():
        return plain(f"{amount} {currency}")
    pattern = parse_pattern(locale.currency_formats["standard"].pattern)
    pattern.frac_prec = (decimals, decimals)
    return str(pattern.apply(amount, locale, currency=currency, currency_digits=False))


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
        case OrderShipped() | OrderDelivered():
            return {
                "lines": [_goods(line, locale) for line in event.products],
                "carrier": plain(event.carrier or ""),
                "tracking": plain(event.tracking or ""),
            }
        case OrderCancelled():
            return {"reason": event.reason}
        case RefundRequested():
            return {"reason": plain(event.reason)}
    raise TypeError(event)


def _line(line: SoldLine, currency: str, locale: Locale) -> dict[str, str]:
    """Older publishers name no product, and no price."""
    price = "" if line.price is None else money(line.price * line.quantity, currency, locale)
    return {**_goods(line, locale), "price": price}


def _goods(line: SoldLine, locale: Locale) -> dict[str, str]:
    quantity = format_decimal(line.quantity, locale=locale)
    return {"quantity": quantity, "name": plain(line.name) or plain(line.product_id)}
