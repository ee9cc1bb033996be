"""No card number comes into the shop's databases, queues and backups."""

import pytest

from services.order.payment_tokens import checked


@pytest.mark.parametrize(
    "token", ["tok_success", "pm_1NirD82eZvKYlo2CIvbtLWuY", "tok_" + "a" * 196, "tok_1234567890123"]
)
def test_a_token_of_a_payment_provider_is_taken_as_it_is(token: str) -> None:
    assert checked(token) == token


@pytest.mark.parametrize(
    "sent",
    [
        "",
        "tok_",
        "card_1",
        "tok_" + "a" * 197,
        "tok_a b",
        "tok_a\n",
        "tok_\u0663",
        "4242424242424242",
        "4242 4242 4242 4242",
        "visa 4111-1111-1111-1111 12/27 123",
    ],
)
def test_what_is_no_token_is_refused_and_never_repeated(sent: str) -> None:
    with pytest.raises(ValueError, match="never send a card number") as refused:
        checked(sent)
    assert len(sent) < 5 or sent not in str(refused.value)


@pytest.mark.parametrize(
    "number",
    ["4242424242424242", "4242_4242_4242_4242", "378282246310005", "6304000000000000", "a4111111111111111b"],
)
def test_a_card_number_in_the_clothes_of_a_token_is_refused(number: str) -> None:
    with pytest.raises(ValueError, match="holds a card number: never send one") as refused:
        checked(f"tok_{number}")
    assert number not in str(refused.value)
