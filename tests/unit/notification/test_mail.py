"""A notification as a mail: what is said, in which language, and that what came from outside stays text."""

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from email import message_from_bytes
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType

import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po
from hypothesis import given
from hypothesis import strategies as st

from services.auth import mail as account_mail
from services.notification import mail
from services.notification.domain import SUBJECTS
from services.notification.mail import compose
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
from services.shared.mail import writing
from services.shared.mail.settings import MailSettings
from services.shared.mail.writing import LANGUAGES, Sender, locale_of, mailbox_of

AT = datetime(2026, 11, 26, 10, 0, tzinfo=UTC)
ADA = mailbox_of("ada@shop.example")
SHOP = Sender(Address("Tea & Cups", "orders", "tea.example"), None, "en")
# What anybody may have written: names, reasons, ids.
TEXT = st.text(max_size=60)


def paid(name: str = "Teapot", locale: str | None = None, order_id: str = "o1") -> OrderPaid:
    return OrderPaid(
        order_id=order_id,
        total_price=Decimal("1299.99"),
        currency="USD",
        products=(SoldLine("p1", 2, name, Decimal("649.99")), SoldLine("p2", 1, "", None)),
        email="ada@shop.example",
        locale=locale,
    )


def every(text: str, locale: str | None = None) -> list[OrderEvent]:
    """Each kind, with the text wherever it may be somebody's own."""
    email = "ada@shop.example"
    return [
        paid(text, locale),
        OrderCancelled(order_id="o1", reason=text, email=email, locale=locale),
        RefundRequested(order_id="o1", reason=text, email=email, locale=locale),
        OrderPartiallyRefunded(
            order_id="o1",
            refund_request_id=text[:64] or "r1",
            products=(),
            amount=Decimal(3),
            refunded_total=Decimal(5),
            currency="JPY",
            email=email,
            locale=locale,
        ),
        OrderRefunded(order_id="o1", total_price=Decimal(7), currency="JPY", email=email, locale=locale),
        OrderShipped(
            order_id="o1",
            products=(SoldLine("p1", 2, text),),
            carrier=text,
            tracking=text,
            email=email,
            locale=locale,
        ),
        OrderDelivered(order_id="o1", products=(SoldLine("p1", 2, text),), email=email, locale=locale),
    ]


def composed(event: OrderEvent, sender: Sender = SHOP) -> EmailMessage:
    return compose("event-1", ADA, AT, event, sender)


def arrived(written: EmailMessage) -> EmailMessage:
    """As it is read from the wire."""
    return message_from_bytes(written.as_bytes(), policy=SMTP)


def part(written: EmailMessage, kind: str) -> str:
    body = written.get_body((kind,))
    assert isinstance(body, EmailMessage)
    return str(body.get_content())


class Tags(HTMLParser):
    """What is markup in a page, with the attributes, in order; and what of it is text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, list[tuple[str, str | None]]]] = []
        self.text = ""
        self.feed(page)
        self.close()

    def attributes(self, tag: str) -> list[list[tuple[str, str | None]]]:
        """Of all tags of this name."""
        return [attributes for name, attributes in self.tags if name == tag]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, attrs))

    def handle_comment(self, data: str) -> None:
        self.tags.append(("!", [(data, None)]))

    def handle_data(self, data: str) -> None:
        self.text += data


# --- what is said -----------------------------------------------------------------------------------------


def test_every_event_that_is_recorded_has_a_mail() -> None:
    assert set(mail.TEMPLATES) == set(SUBJECTS)


def test_an_order_that_is_paid_is_told_with_its_lines() -> None:
    text = part(composed(paid()), "plain")
    assert text.startswith("Thank you: your order is paid\n\nWe received $1,299.99 on November 26, 2026.\n")
    assert "2 x Teapot  $1,299.98\n1 x p2\n\nTotal  $1,299.99\n" in text


@pytest.mark.parametrize(
    ("reason", "sentence"),
    [
        ("OUT_OF_STOCK", "Something that you ordered is not in stock any more."),
        ("PAYMENT_FAILED", "The payment did not go through."),
        ("CUSTOMER_CANCELLED", "It was cancelled on request."),
        ("SAGA_TIMEOUT", "It could not be completed in time."),
        ("whatever", "It could not be completed."),
    ],
)
def test_a_cancelled_order_is_told_why_in_words(reason: str, sentence: str) -> None:
    written = composed(OrderCancelled(order_id="o1", reason=reason, email=""))
    for kind in ("plain", "html"):
        assert sentence in part(written, kind)
        assert reason not in part(written, kind)


NOTHING_CHARGED = {"en": "Nothing was charged.", "de": "Es wurde nichts abgebucht."}
COMES_BACK = {"en": "If anything was charged already, you get it back.", "de": "erhalten Sie es zurück."}


@pytest.mark.parametrize("locale", LANGUAGES)
@pytest.mark.parametrize(
    ("reason", "said", "unsaid"),
    [
        ("OUT_OF_STOCK", NOTHING_CHARGED, COMES_BACK),
        ("PAYMENT_FAILED", NOTHING_CHARGED, COMES_BACK),
        # The card may have been charged before payment heard of it.
        ("CUSTOMER_CANCELLED", COMES_BACK, NOTHING_CHARGED),
        ("SAGA_TIMEOUT", COMES_BACK, NOTHING_CHARGED),
        ("whatever", COMES_BACK, NOTHING_CHARGED),
    ],
)
def test_money_that_comes_back_is_spoken_of_only_where_some_may_have_gone(
    reason: str, said: dict[str, str], unsaid: dict[str, str], locale: str
) -> None:
    written = composed(OrderCancelled(order_id="o1", reason=reason, email="", locale=locale))
    for kind in ("plain", "html"):
        text = " ".join(part(written, kind).split())
        assert said[locale] in text
        assert unsaid[locale] not in text


@pytest.mark.parametrize(
    ("locale", "total"),
    [
        ("de-AT", "$\u00a01.299,99"),
        ("de-DE", "1.299,99\u00a0$"),
        ("de", "1.299,99\u00a0$"),
        ("de-XX", "1.299,99\u00a0$"),
        ("en-GB", "US$1,299.99"),
        ("fr-FR", "$1,299.99"),
        ("", "$1,299.99"),
        ("../../etc", "$1,299.99"),
        (None, "$1,299.99"),
    ],
)
def test_money_is_written_as_the_customer_does(locale: str | None, total: str) -> None:
    assert f" {total} " in part(composed(paid(locale=locale)), "plain")


@pytest.mark.parametrize(
    ("amount", "currency", "shown"),
    [
        ("7", "JPY", "¥7"),
        ("1.500", "KWD", "KWD1.500"),
        ("1.5", "KWD", "KWD1.500"),
        ("NaN", "USD", "NaN USD"),
    ],
)
def test_a_currency_has_the_decimals_of_iso_4217(amount: str, currency: str, shown: str) -> None:
    assert mail.money(Decimal(amount), currency, locale_of("en", "en")) == shown


def test_who_asks_for_nothing_that_there_is_gets_the_shops_language() -> None:
    german = SHOP._replace(locale="de")
    assert composed(paid(locale="fr"), german)["Subject"] == "Ihre Bestellung o1 ist bezahlt"
    assert composed(paid(locale="en"), german)["Subject"] == "Your order o1 is paid"


def test_the_settings_allow_the_languages_that_there_are() -> None:
    (pattern,) = (
        each.pattern for each in MailSettings.model_fields["mail_locale"].metadata if hasattr(each, "pattern")
    )
    assert pattern == rf"^({'|'.join(LANGUAGES)})(-[A-Z]{{2}})?$"


# Whoever has templates of its own: the layout of all, and each service that writes.
@pytest.mark.parametrize("package", [writing, mail, account_mail])
def test_every_sentence_has_its_translation_and_no_other_is_translated(package: ModuleType) -> None:
    templates = Path(str(package.__file__)).parent / "templates"
    methods = [("**.html", "jinja2.ext:babel_extract"), ("**.txt", "jinja2.ext:babel_extract")]
    options = {"**.html": {"trimmed": "true"}, "**.txt": {"trimmed": "true"}}
    said = {each[2] for each in extract_from_dir(templates, methods, options)}
    assert said
    for language in LANGUAGES[1:]:
        with (templates / f"{language}.po").open("rb") as source:
            translated = {each.id: each.string for each in read_po(source, locale=language) if each.id}
        assert set(translated) == said
        assert [id_ for id_, string in translated.items() if not string] == []


# --- how it travels ---------------------------------------------------------------------------------------


def test_a_mail_that_is_sent_again_is_known_by_its_id() -> None:
    first, second = composed(paid()), composed(paid())
    assert first.as_bytes() == second.as_bytes()
    assert first["Message-ID"] == "<event-1@tea.example>"


def test_its_headers_are_those_of_a_program_that_writes_to_one_reader() -> None:
    sender = SHOP._replace(reply_to=Address("", "help", "tea.example"))
    found = arrived(composed(paid(locale="de-AT"), sender))
    assert {name: str(found[name]) for name in found if name not in {"Content-Type", "MIME-Version"}} == {
        "From": "Tea & Cups <orders@tea.example>",
        "To": "ada@shop.example",
        "Reply-To": "help@tea.example",
        "Subject": "Ihre Bestellung o1 ist bezahlt",
        "Date": "Thu, 26 Nov 2026 10:00:00 +0000",
        "Message-ID": "<event-1@tea.example>",
        "References": "<order.o1@tea.example>",
        "Content-Language": "de-AT",
        "Auto-Submitted": "auto-generated",
        "X-Auto-Response-Suppress": "All",
    }


def test_a_domain_beyond_ascii_is_written_as_dns_knows_it() -> None:
    assert mailbox_of("ada@bücher.example").addr_spec == "ada@xn--bcher-kva.example"
    # Of two domains one: strasse.example is somebody else's.
    assert mailbox_of("m.groß@Straße.example").addr_spec == "m.groß@xn--strae-oqa.example"


def test_a_name_beyond_ascii_stays_as_it_is_for_servers_that_take_it() -> None:
    bjorn = mailbox_of("björn@b.example")
    assert bjorn.addr_spec == "björn@b.example"
    mail = compose("event-1", bjorn, AT, paid(), SHOP)
    assert "To: björn@b.example\r\n".encode() in mail.as_bytes(policy=SMTPUTF8)


@pytest.mark.parametrize("address", ["", "ada", "ada@", "a b@c.example", "a@b.example\r\nBcc: c@d.example"])
def test_what_is_no_address_is_written_to_by_nobody(address: str) -> None:
    with pytest.raises(ValueError, match="no e-mail address"):
        mailbox_of(address)


# --- what came from outside -------------------------------------------------------------------------------


@given(TEXT, st.sampled_from([None, "de-AT", "en"]), st.integers(0, 3))
def test_nothing_from_outside_becomes_markup(text: str, locale: str | None, kind: int) -> None:
    usual = Tags(part(composed(every("a", locale)[kind]), "html"))
    assert Tags(part(composed(every(text, locale)[kind]), "html")).tags == usual.tags


@pytest.mark.parametrize(
    "name", ["<script>alert(1)</script>", "</td></table><h1>x", "{{ 7 * 7 }}", "%(total)s", "&lt;b>"]
)
def test_a_name_is_read_as_it_was_written(name: str) -> None:
    written = composed(paid(name))
    assert name in Tags(part(written, "html")).text
    assert name in part(written, "plain")


@given(order_id=TEXT, name=TEXT, event_id=TEXT)
def test_nothing_from_outside_becomes_a_header(order_id: str, name: str, event_id: str) -> None:
    sender = SHOP._replace(address=Address("Tea", "orders", "tea.example"))
    written = arrived(compose(event_id, ADA, AT, paid(name, order_id=order_id), sender))
    assert list(written.keys()) == list(arrived(composed(paid())).keys())
    assert str(written["To"]) == "ada@shop.example"


def test_a_name_cannot_turn_the_direction_of_writing_nor_end_the_line() -> None:
    text = part(composed(paid("Tea\u202epot\r\n\r\nTotal  $0")), "plain")
    assert "2 x Tea pot Total $0  $1,299.98\n" in text


def pages() -> Iterator[str]:
    for locale in LANGUAGES:
        for event in every("x", locale):
            yield part(composed(event), "html")


def test_nothing_is_fetched_from_elsewhere() -> None:
    for page in pages():
        names = {name for _, attributes in Tags(page).tags for name, _ in attributes}
        assert not names & {"src", "href", "background"}
        assert "url(" not in page


def test_styles_are_in_the_lines_but_for_those_of_the_dark() -> None:
    for page in pages():
        assert "prefers-color-scheme: dark" in page
        assert 'class="card"' in page
        assert page.count("<style>") == 1
        assert "max-width: 600px" not in page.partition("</head>")[0]
