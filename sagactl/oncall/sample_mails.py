"""An example of every mail that customers are written, without writing to anybody. Pure."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from email.headerregistry import Address
from email.message import EmailMessage
from typing import Final

from services.auth import letters
from services.auth import mail as account_mail
from services.auth.letters import Kind
from services.notification import mail
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
from services.shared.mail.writing import Sender, mailbox_of

ORDER: Final = "01a0cb31-7a4e-7cc1-a1a5-0c9a51f0d3b7"
AT: Final = datetime(2026, 11, 26, 9, 30, tzinfo=UTC)
CUSTOMER: Final = "ada@customer.example"
SHOP: Final = "Tea & Cups"
# One event of each kind that customers are told of.
EXAMPLES: Final[Mapping[str, OrderEvent]] = {
    "paid": OrderPaid(
        order_id=ORDER,
        total_price=Decimal("62.80"),
        currency="EUR",
        products=(
            SoldLine("p1", 2, "Teapot, cast iron, 1.2 l", Decimal("24.90")),
            SoldLine("p2", 4, "Cup", Decimal("3.25")),
        ),
        email=CUSTOMER,
    ),
    "cancelled": OrderCancelled(order_id=ORDER, reason="PAYMENT_FAILED", email=CUSTOMER),
    "refund-requested": RefundRequested(
        order_id=ORDER, reason="The lid of one teapot does not fit.", email=CUSTOMER
    ),
    "partially-refunded": OrderPartiallyRefunded(
        order_id=ORDER,
        refund_request_id="7d1f3a0c-3f52-5b8e-9a49-6a3d1c0b7e11",
        products=(),
        amount=Decimal("12.90"),
        refunded_total=Decimal("25.80"),
        currency="EUR",
        email=CUSTOMER,
    ),
    "refunded": OrderRefunded(order_id=ORDER, total_price=Decimal("62.80"), currency="EUR", email=CUSTOMER),
    "shipped": OrderShipped(
        order_id=ORDER,
        products=(SoldLine("p1", 2, "Teapot, cast iron, 1.2 l"), SoldLine("p2", 4, "Cup")),
        carrier="DHL",
        tracking="JD014600003200001234",
        email=CUSTOMER,
    ),
    "delivered": OrderDelivered(
        order_id=ORDER,
        products=(SoldLine("p1", 2, "Teapot, cast iron, 1.2 l"), SoldLine("p2", 4, "Cup")),
        email=CUSTOMER,
    ),
}
# A page that takes the token of a letter of each kind, where the shop has one.
PAGES: Final[Mapping[Kind, str]] = {kind: f"https://shop.example/{kind}#{{token}}" for kind in Kind}
TOKEN: Final = "9b2f6c1e-3f0a-4a55-8f43-6a1d6a2f7c55.pJ3vQ0mY8dWl2a9QeXh4uUuPzB7cN6sGfJ3iKoLqR8s"  # noqa: S105  # nobody's


def sender_in(language: str, shop: str = SHOP) -> Sender:
    """`language`: one of LANGUAGES."""
    return Sender(Address(shop, "orders", "shop.example"), None, language)


def examples(sender: Sender) -> Iterator[tuple[str, EmailMessage]]:
    """One mail of each kind, in the sender's language, after the name of the kind."""
    to = mailbox_of(CUSTOMER)
    for kind, event in EXAMPLES.items():
        yield kind, mail.compose(f"example-{kind}", to, AT, event, sender)
    for about in Kind:
        letter = letters.owed(f"example-{about}", about, None, None, AT)
        for name, page in ((f"{about}", PAGES[about]), (f"{about}-token", "")):
            yield name, account_mail.compose(letter, to, TOKEN, page, sender)
