"""A letter as a mail: what it says, in which language, where its link leads; nothing that somebody typed."""

from datetime import UTC, datetime
from email import message_from_bytes
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.auth import letters, mail
from services.auth.domain import User
from services.auth.letters import Kind
from services.shared import emails
from services.shared.mail.writing import LANGUAGES, Sender, mailbox_of
from tests.unit.notification.test_mail import Tags, part

NOW = datetime(2026, 11, 26, 10, 0, tzinfo=UTC)
SHOP = Sender(Address("Tea & Cups", "orders", "tea.example"), None, "en")
TOKEN = "l1.a-secret_of-256-bits"
PAGE = "https://tea.example/a?b=c&d=e#{token}"
LINK = f"https://tea.example/a?b=c&d=e#{TOKEN}"
ADA = User(id="u1", email="ada@x.example", name="Buy now", password_hash="-", created_at=NOW)
each_kind = pytest.mark.parametrize("kind", Kind)


def composed(
    kind: Kind,
    *,
    page: str = PAGE,
    to: str = "ada@x.example",
    locale: str | None = None,
    sender: Sender = SHOP,
) -> EmailMessage:
    letter = letters.owed("l1", kind, ADA, locale, NOW)
    return mail.compose(letter, mailbox_of(to), TOKEN, page, sender)


@pytest.mark.parametrize(
    ("kind", "locale", "subject", "until", "otherwise"),
    [
        (
            Kind.VERIFY,
            "en-GB",
            "Confirm your e-mail address",
            "until 27 November 2026, 10:00 UTC.",
            "unconfirmed.",
        ),
        (
            Kind.VERIFY,
            "de",
            "Bestätigen Sie Ihre E-Mail-Adresse",
            "bis 27. November 2026, 10:00 UTC.",
            "unbestätigt.",
        ),
        (
            Kind.RESET,
            "en",
            "Set a new password",
            "until November 26, 2026, 11:00\u202fAM UTC.",
            "stays as it is.",
        ),
        (
            Kind.RESET,
            "de-AT",
            "Setzen Sie ein neues Passwort",
            "bis 26. November 2026, 11:00 UTC.",
            "wie es ist.",
        ),
    ],
)
def test_a_letter_says_what_was_asked_for_how_long_it_is_good_and_what_if_that_was_somebody_else(
    kind: Kind, locale: str, subject: str, until: str, otherwise: str
) -> None:
    written = composed(kind, locale=locale)
    assert written["Subject"] == subject
    assert written["Content-Language"] == locale
    for form in ("plain", "html"):
        for said in (subject, until, otherwise, "Tea & Cups"):
            text = part(written, form) if form == "plain" else Tags(part(written, form)).text
            assert said in text


def test_who_asked_for_nothing_that_there_is_gets_the_shops_language() -> None:
    for locale in ("fr", None):
        german = composed(Kind.RESET, locale=locale, sender=SHOP._replace(locale="de"))
        assert german["Subject"] == "Setzen Sie ein neues Passwort"


@each_kind
def test_the_link_leads_to_the_page_with_the_token_and_is_the_only_one(kind: Kind) -> None:
    written = composed(kind)
    assert f"\n\n{LINK}\n\n" in part(written, "plain"), "in a line of its own"
    page = Tags(part(written, "html"))
    assert [attributes["href"] for attributes in map(dict, page.attributes("a"))] == [LINK]
    assert page.text.count(LINK) == 1, "for who does not press buttons"
    assert "POST" not in page.text


@each_kind
def test_without_a_page_the_letter_has_the_token_and_says_who_takes_it(kind: Kind) -> None:
    written = composed(kind, page="")
    text, page = part(written, "plain"), Tags(part(written, "html"))
    assert f"\n\n{TOKEN}\n\n" in text
    assert page.text.count(TOKEN) == 1
    for said in (text, page.text):
        assert mail.ROUTES[kind] in said
    assert page.attributes("a") == []


def test_every_route_that_is_named_is_one_that_takes_tokens() -> None:
    from services.auth.by_mail import router  # noqa: PLC0415  # the rest of this file is pure

    routes = {f"POST {route.path}" for route in router.routes}  # type: ignore[attr-defined]  # they all have one
    assert set(mail.ROUTES.values()) <= routes


@each_kind
@pytest.mark.parametrize("locale", LANGUAGES)
def test_nothing_that_somebody_typed_is_in_it(kind: Kind, locale: str) -> None:
    """Or a stranger would have the shop write it to whoever's address they register."""
    written = composed(kind, locale=locale)
    for form in ("plain", "html"):
        assert ADA.name not in part(written, form)
        assert ADA.email not in part(written, form)


@each_kind
def test_nothing_is_fetched_from_elsewhere(kind: Kind) -> None:
    page = part(composed(kind), "html")
    names = {name for _, attributes in Tags(page).tags for name, _ in attributes}
    assert not names & {"src", "background"}
    assert "url(" not in page


@each_kind
def test_a_letter_that_is_sent_again_is_the_same_to_the_byte(kind: Kind) -> None:
    assert composed(kind).as_bytes() == composed(kind).as_bytes()
    assert composed(kind)["Message-ID"] == "<l1@tea.example>"


@given(
    address=st.emails() | st.text(max_size=40).map(lambda text: f"{text}@x.example"),
    kind=st.sampled_from(Kind),
)
def test_whatever_is_an_address_can_be_written_to_and_to_nobody_else(address: str, kind: Kind) -> None:
    try:
        to = mailbox_of(emails.parse(address))
    except ValueError:
        return
    letter = letters.owed("l1", kind, ADA, None, NOW)
    sent = mail.compose(letter, to, TOKEN, PAGE, SHOP).as_bytes(
        policy=SMTPUTF8 if not to.addr_spec.isascii() else SMTP
    )
    arrived = message_from_bytes(sent, policy=SMTP)
    assert list(arrived.keys()).count("To") == 1
    assert {"Bcc", "Cc"}.isdisjoint(arrived.keys())
