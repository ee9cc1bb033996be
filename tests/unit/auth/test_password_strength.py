"""A password that anybody would try first is refused, and the text says why."""

import pytest

from services.auth.strength import COMMON, LENGTHS, check_password

ADA = "lovelace@analytical.example"


@pytest.mark.parametrize("password", ["", "1234567", "x" * 129])
def test_a_password_that_is_too_short_or_too_long_is_refused_with_the_lengths(password: str) -> None:
    with pytest.raises(ValueError, match=f"has 8 to 128 characters, this one has {len(password)}"):
        check_password(password, ADA)


@pytest.mark.parametrize("password", [ADA, "Lovelace", "ANALYTICAL", "analytical.example"])
def test_the_address_and_its_parts_are_no_password(password: str) -> None:
    with pytest.raises(ValueError, match="must not be the e-mail address or a part of it"):
        check_password(password, ADA)


@pytest.mark.parametrize("password", ["12345678", "password", "PassWord1", "iloveyou", "1qaz2wsx"])
def test_what_everybody_tries_first_is_no_password_however_it_is_written(password: str) -> None:
    with pytest.raises(ValueError, match="one of the most common ones: choose another"):
        check_password(password, ADA)


@pytest.mark.parametrize("password", ["x" * 128, "Gänsefüßchen", "correct horse", "lovelace 1815"])
def test_any_other_password_will_do(password: str) -> None:
    check_password(password, ADA)


def test_the_list_has_ten_thousand_and_more_passwords_that_could_be_chosen_otherwise() -> None:
    assert len(COMMON) > 10_000
    assert all(len(each) in LENGTHS and each == each.casefold() for each in COMMON)
