"""What browsers are told, and what they tell: headers, cookies, and whether a form is one of ours. Pure."""

import hmac
import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import SplitResult, parse_qsl, urlsplit

# No script at all, whoever wrote it; a page whose forms act with a person's token is worth attacking.
_LOADED: Final = "default-src 'none'; style-src 'self'; img-src 'self'"
_BOUND: Final = "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
HEADERS: Final[Mapping[str, str]] = {
    "Content-Security-Policy": f"{_LOADED}; {_BOUND}",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
# Of a mail, alone: it has styles of its own in its elements, and is shut in.
OF_A_MAIL: Final = f"default-src 'none'; style-src 'unsafe-inline'; sandbox; {_BOUND}"
STRICT: Final = {"Strict-Transport-Security": "max-age=31536000"}
THEMES: Final = ("light", "dark")
THEME: Final = "theme"
FIELDS_AT_MOST: Final = 50
_PATH: Final = re.compile(r"/(?![/\\])[\x21-\x5b\x5d-\x7e]*")


class NoForm(ValueError):
    """The body is not what a page of ours sends."""


def cookie_name(*, insecure: bool) -> str:
    """By its prefix browsers take it over TLS, or from this machine, alone, and for this host alone."""
    return "console" if insecure else "__Host-console"


def is_from_us(headers: Mapping[str, str]) -> bool:
    """Whether what changes something was sent by a page of this origin. Who does not say so is refused."""
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = headers.get("origin")
    return origin is not None and _parts(origin).netloc == headers.get("host")


def _parts(url: str) -> SplitResult:
    """Of none for what is no URL."""
    try:
        return urlsplit(url)
    except ValueError:
        return urlsplit("")


def is_from_elsewhere(headers: Mapping[str, str]) -> bool:
    """Whether a link of another site leads here: a cookie of ours does not come along then."""
    return headers.get("sec-fetch-site") == "cross-site"


def is_same(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode(), wanted.encode())


def form_of(body: bytes) -> dict[str, str]:
    """Raises NoForm, also where a field comes twice."""
    try:
        fields = parse_qsl(
            body.decode(), keep_blank_values=True, strict_parsing=bool(body), max_num_fields=FIELDS_AT_MOST
        )
    except ValueError as error:
        raise NoForm(str(error)) from None
    form = dict(fields)
    if len(form) < len(fields):
        raise NoForm("a field is there twice")
    return form


def page_of_form(headers: Mapping[str, str]) -> str:
    """The path of the page of ours whose form was sent, as far as its browser tells; else the first page."""
    page = _parts(headers.get("referer", ""))
    if page.netloc != headers.get("host"):
        return "/"
    return local_path(page._replace(scheme="", netloc="", fragment="").geturl())


def local_path(text: str) -> str:
    """A path of this console; of anything else, which may lead to somebody else's site, the first page."""
    return text if _PATH.fullmatch(text) else "/"
