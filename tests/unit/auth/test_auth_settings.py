"""Settings that cannot work are refused at the start."""

import pytest
from pydantic import SecretStr, ValidationError

from services.auth.letters import Kind
from services.auth.settings import AuthSettings

KEY = "A" * 43 + "="


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRETS_KEY", KEY)


def test_the_administrators_address_is_kept_as_it_was_typed() -> None:
    settings = AuthSettings(admin_email=" Boss@X.example", admin_password=SecretStr("long enough"))
    assert settings.admin_email == "Boss@X.example"


@pytest.mark.parametrize(
    ("email", "password", "why"),
    [
        ("boss@x.example", None, "come together"),
        (None, "long enough", "come together"),
        ("boss", "long enough", "not an e-mail address"),
        ("boss@x.example", "short", "8 to 128 characters"),
    ],
)
def test_half_an_administrator_is_refused(email: str | None, password: str | None, why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        AuthSettings(admin_email=email, admin_password=SecretStr(password) if password is not None else None)


def test_a_password_does_not_show_in_what_is_logged() -> None:
    settings = AuthSettings(admin_email="boss@x.example", admin_password=SecretStr("long enough"))
    assert "long enough" not in repr(settings)


@pytest.mark.parametrize("said", [None, ""])
def test_nothing_is_sealed_with_a_key_that_everybody_knows(
    said: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SECRETS_KEY")
    if said is not None:
        monkeypatch.setenv("SECRETS_KEY", said)
    with pytest.raises(ValidationError, match="set SECRETS_KEY: 32 random bytes in Base64"):
        AuthSettings()


@pytest.mark.parametrize("wrong", ["secret", "A" * 42 + "==", f"{KEY},", f"{KEY},secret", "é"])
def test_what_is_no_key_is_refused(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRETS_KEY", wrong)
    with pytest.raises(ValidationError, match="each key is 32 random bytes"):
        AuthSettings()


def test_keys_do_not_show_in_what_is_logged() -> None:
    assert KEY not in repr(AuthSettings())


@pytest.mark.parametrize(
    "url",
    [
        "https://shop.example/verify#{token}",
        "https://shop.example:8443/a/{token}?b=c",
        "http://127.0.0.1:5173/verify#{token}",
        "http://localhost/{token}",
        "http://[::1]:80/#{token}",
        "",
    ],
)
def test_a_letter_may_lead_to_a_page(url: str) -> None:
    settings = AuthSettings(verify_url=url)
    assert (settings.page_of(Kind.VERIFY), settings.page_of(Kind.RESET)) == (url, "")
    assert AuthSettings(reset_url=url).page_of(Kind.RESET) == url


@pytest.mark.parametrize("setting", ["verify_url", "reset_url"])
@pytest.mark.parametrize(
    "url",
    [
        "https://shop.example/verify",
        "http://shop.example/verify#{token}",
        "http://127.0.0.1.shop.example/#{token}",
        "ftp://shop.example/{token}",
        "javascript:alert({token})",
        "//shop.example/{token}",
        "https:///{token}",
        "https://{token}.shop.example/",
        "https://me:{token}@shop.example/",
        "https://shop.example@evil.example/{token}",
        "https://shop.example:70000/{token}",
        "https://shop.example/{token}/{token}",
        "https://shop.example/{token}{more}",
        "https://shop.example/a b#{token}",
        "https://shop.example/\n#{token}",
        'https://shop.example/"#{token}',
        "https://bücher.example/#{token}",
    ],
)
def test_what_is_no_page_that_takes_a_token_is_refused(setting: str, url: str) -> None:
    with pytest.raises(ValidationError, match="give a page as https://"):
        AuthSettings(**{setting: url})  # type: ignore[arg-type]  # the test's own
