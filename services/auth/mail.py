"""A letter as a mail, in its reader's language: pure.

Nothing that somebody typed is in it, not even the account's name: whoever registers another's address would
have the shop write to its owner whatever they like.
"""

from collections.abc import Mapping
from email.headerregistry import Address
from email.message import EmailMessage
from typing import Final

from babel import Locale
from babel.dates import format_date, format_time

from services.auth.letters import Kind, Letter
from services.shared.mail import writing
from services.shared.mail.writing import Content, Sender, locale_of

PACKAGE: Final = "services.auth"
# Who takes the token, for a shop without a page that does.
ROUTES: Final[Mapping[Kind, str]] = {
    Kind.VERIFY: "POST /auth/verify",
    Kind.RESET: "POST /auth/reset/confirm",
}


def compose(letter: Letter, to: Address, token: str, page: str, sender: Sender) -> EmailMessage:
    """The same mail, to the byte, whenever it is asked for with the same token.

    `page` is the URL of a page that takes tokens of this kind, with `{token}` for it; empty: there is none.
    """
    locale = locale_of(letter.locale, sender.locale)
    content = written(letter, token, page, locale, sender.shop)
    return writing.compose(letter.id, to, letter.created_at, content, sender)


def written(letter: Letter, token: str, page: str, locale: Locale, shop: str) -> Content:
    until = letter.expires_at
    values = {
        "shop": shop,
        "link": page.replace("{token}", token),
        "token": token,
        "route": ROUTES[letter.kind],
        "until": f"{format_date(until, 'long', locale)}, {format_time(until, 'short', locale=locale)} UTC",
    }
    return writing.written(PACKAGE, letter.kind.value, locale, values)
