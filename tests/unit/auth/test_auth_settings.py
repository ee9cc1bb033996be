"""Settings that cannot work are refused at the start."""

import pytest
from pydantic import SecretStr, ValidationError

from services.auth.settings import AuthSettings

KEY = "A" * 43 + "="


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRETS_KEY", KEY)


def test_the_administrators_address_is_normalized() -> None:
    settings = AuthSettings(admin_email="Boss@X.example", admin_password=SecretStr("long enough"))
    assert settings.admin_email == "boss@x.example"


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
