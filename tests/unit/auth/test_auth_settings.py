"""Settings that cannot work are refused at the start."""

import pytest
from pydantic import SecretStr, ValidationError

from services.auth.settings import AuthSettings


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
