"""What is taken from a browser, and what it is told."""

import re
from typing import Final

import pytest

from console import browsers
from console.browsers import NoForm, form_of, is_from_us, local_path

HERE: Final = "console.example:3008"


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "same-origin"},
        # Browsers that say nothing of the site say the origin of what is posted.
        {"origin": f"http://{HERE}", "host": HERE},
        {"origin": f"https://{HERE}", "host": HERE},
    ],
)
def test_what_a_page_of_ours_sends_is_taken(headers: dict[str, str]) -> None:
    assert is_from_us(headers)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"host": HERE},
        {"sec-fetch-site": "cross-site", "origin": f"http://{HERE}", "host": HERE},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "none"},
        {"sec-fetch-site": ""},
        {"origin": "null", "host": HERE},
        {"origin": "http://evil.example", "host": HERE},
        {"origin": "http://console.example", "host": HERE},
        {"origin": "", "host": HERE},
        {"origin": "http://[", "host": HERE},
        {"origin": "http://evil.example"},
    ],
)
def test_what_any_other_page_sends_is_refused(headers: dict[str, str]) -> None:
    assert not is_from_us(headers)


@pytest.mark.parametrize("path", ["/", "/orders", "/orders?show=attention&cursor=a_b-c", "/orders/%C3%A4"])
def test_a_path_of_ours_is_gone_to(path: str) -> None:
    assert local_path(path) == path


@pytest.mark.parametrize(
    "path",
    [
        "",
        "orders",
        "//evil.example",
        "/\\evil.example",
        "/orders\\evil",
        "https://evil.example",
        "javascript:alert(1)",
        "/orders\r\nSet-Cookie: a=b",
        "/orders\n",
        "/ä",
        "/a b",
        " /",
        "///evil.example",
    ],
)
def test_what_may_lead_elsewhere_leads_to_the_first_page(path: str) -> None:
    assert local_path(path) == "/"


def test_a_form_is_its_fields() -> None:
    assert form_of(b"") == {}
    assert form_of(b"a=1&b=%C3%A4+b&c=") == {"a": "1", "b": "ä b", "c": ""}


@pytest.mark.parametrize(
    "body", [b"a", b"a=1&a=2", b"\xff=1", b"&".join(b"f%d=1" % number for number in range(51))]
)
def test_what_is_no_form_of_ours_is_refused(body: bytes) -> None:
    with pytest.raises(NoForm):
        form_of(body)


def test_no_page_runs_a_script_or_is_framed_or_sends_its_forms_elsewhere() -> None:
    policy = dict(part.split(" ", 1) for part in re.split("; ", browsers.HEADERS["Content-Security-Policy"]))
    assert policy == {
        "default-src": "'none'",
        "style-src": "'self'",
        "img-src": "'self'",
        "form-action": "'self'",
        "base-uri": "'none'",
        "frame-ancestors": "'none'",
    }
    # The path of a page may be an order's.
    assert browsers.HEADERS["Referrer-Policy"] == "same-origin"


def test_the_cookie_is_for_this_host_alone_unless_it_is_said_to_be_insecure() -> None:
    assert browsers.cookie_name(insecure=False).startswith("__Host-")
    assert not browsers.cookie_name(insecure=True).startswith("__")
