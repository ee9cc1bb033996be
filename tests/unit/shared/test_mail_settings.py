"""No mail is sent unless a server is named; and what is named has to be of use."""

import ssl
from pathlib import Path

import pytest
from pydantic import ValidationError

from services.shared.mail.settings import MailSettings, Server, address

FROM = "Tea & Cups <orders@tea.example>"


def given(**values: object) -> MailSettings:
    return MailSettings(**{"port": 1, "mail_from": FROM, **values})  # type: ignore[arg-type]  # checked by pydantic


def test_without_a_server_no_mail_is_sent() -> None:
    assert MailSettings(port=1).server is None


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("smtp://mail.example", Server("mail.example", 25, "smtp", None, None)),
        ("smtp+starttls://mail.example", Server("mail.example", 587, "smtp+starttls", None, None)),
        ("smtps://mail.example:4650/", Server("mail.example", 4650, "smtps", None, None)),
        ("smtps://me%40x:p%3Aq@mail.example", Server("mail.example", 465, "smtps", "me@x", "p:q")),
        ("smtp://[::1]:2525", Server("::1", 2525, "smtp", None, None)),
    ],
)
def test_a_url_says_where_the_server_is_and_how_it_is_spoken_to(url: str, server: Server) -> None:
    assert given(smtp_url=url).server == server


def test_the_password_may_be_kept_apart() -> None:
    server = given(smtp_url="smtps://me@mail.example", smtp_password="s3:cr@t").server
    assert server is not None
    assert (server.user, server.password) == ("me", "s3:cr@t")


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"smtp_url": "http://mail.example"}, "smtp://, smtp\\+starttls:// or smtps://"),
        ({"smtp_url": "smtp://"}, "smtp://, smtp\\+starttls:// or smtps://"),
        ({"smtp_url": "smtp://mail.example:70000"}, "smtp://, smtp\\+starttls:// or smtps://"),
        ({"smtp_url": "smtp://mail.example/path"}, "smtp://, smtp\\+starttls:// or smtps://"),
        ({"smtp_url": "smtp://me:secret@mail.example"}, "by TLS alone"),
        ({"smtp_url": "smtp://mail.example", "mail_from": ""}, "MAIL_FROM"),
        ({"mail_from": "nobody"}, "Name <address>"),
        ({"mail_from": "A <a@b.example>\r\nBcc: c@d.example"}, "Name <address>"),
        ({"mail_reply_to": "<>"}, "Name <address>"),
        ({"mail_locale": "fr"}, "pattern"),
        ({"smtp_ca_file": Path("nowhere.pem")}, "no certificates"),
    ],
)
def test_what_is_of_no_use_is_refused(values: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence) as refused:
        given(**values)
    assert "me:secret" not in "".join(each["msg"] for each in refused.value.errors())


def test_authorities_may_be_given_for_the_server_alone() -> None:
    believed = ssl.get_default_verify_paths().cafile
    assert believed is not None
    assert given(smtp_ca_file=Path(believed)).smtp_ca_file == Path(believed)


@pytest.mark.parametrize(
    ("text", "name", "bare"),
    [
        ("orders@tea.example", "", "orders@tea.example"),
        ("<orders@tea.example>", "", "orders@tea.example"),
        (FROM, "Tea & Cups", "orders@tea.example"),
        ('"Tea, Inc." <orders@tea.example>', "Tea, Inc.", "orders@tea.example"),
        ("Bücher <orders@tea.example>", "Bücher", "orders@tea.example"),
    ],
)
def test_an_address_may_have_a_name(text: str, name: str, bare: str) -> None:
    found = address(text)
    assert (found.display_name, found.addr_spec) == (name, bare)
