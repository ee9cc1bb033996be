"""What names a customer is taken out of texts, however it is spelled, and the rest stays as it was."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sagactl.oncall.erasure import NAMING
from sagactl.oncall.pseudonyms import ADDRESS, TEXT, Names

EMAIL = "ada+tea@x.example"
NAMES = Names(EMAIL, ["o1"])
# Letters that are written in the same way in all cases, and whatever else an address may hold.
ADDRESSES = st.from_regex(r"[a-z0-9.+_\u00e0-\u00f6'%-]{1,20}@[a-z0-9-]{1,10}\.[a-z]{2,5}", fullmatch=True)


@given(email=ADDRESSES, before=st.text(), after=st.text(), ascii_only=st.booleans())
def test_an_address_is_taken_out_of_any_json_and_nothing_else_is(
    email: str, before: str, after: str, *, ascii_only: bool
) -> None:
    data = {"email": email, "note": f"{before} {email.upper()} {after}", "n": [1.10, None, True]}
    body = json.dumps(data, ensure_ascii=ascii_only).encode(errors="surrogatepass")
    after_it = Names(email, []).body_without(body)
    read = json.loads(after_it.decode(errors="surrogatepass"))
    assert read == data | {"email": ADDRESS, "note": read["note"]}
    assert email not in read["note"].lower()
    assert ADDRESS in read["note"]


@given(body=st.binary())
def test_what_does_not_name_the_customer_is_the_same_to_the_byte(body: bytes) -> None:
    assert NAMES.body_without(body) == body


def test_a_letter_escaped_as_json_may_is_still_that_letter() -> None:
    spelled = "".join(f"\\u{ord(character):04X}" for character in EMAIL)
    assert NAMES.body_without(f'{{"email":"{spelled}"}}'.encode()) == f'{{"email":"{ADDRESS}"}}'.encode()


def test_an_address_that_only_begins_alike_is_somebody_elses() -> None:
    others = f"eve{EMAIL}, {EMAIL}.org, {EMAIL}s, adatea@x.example"
    assert NAMES.without(others) == others
    assert NAMES.without(f"<{EMAIL}>, {EMAIL}.") == f"<{ADDRESS}>, {ADDRESS}."
    assert NAMES.body_without(f'"a\\n{EMAIL}"'.encode()) == f'"a\\n{ADDRESS}"'.encode()


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (
            {"type": "ORDER_REFUND_REQUEST", "data": {"orderId": "o1", "reason": 'my "name" is Ada'}},
            {"type": "ORDER_REFUND_REQUEST", "data": {"orderId": "o1", "reason": TEXT}},
        ),
        (
            {"type": "ORDER_CONFIRMED", "data": {"orderId": "o1", "paymentToken": "tok_1"}},
            {"type": "ORDER_CONFIRMED", "data": {"orderId": "o1", "paymentToken": TEXT}},
        ),
        (
            {"type": "ORDER_CANCELLED", "data": {"orderId": "o1", "reason": "OUT_OF_STOCK", "email": EMAIL}},
            {
                "type": "ORDER_CANCELLED",
                "data": {"orderId": "o1", "reason": "OUT_OF_STOCK", "email": ADDRESS},
            },
        ),
        (
            {"type": "ORDER_REFUND_REQUEST", "data": {"orderId": "o2", "reason": "another's"}},
            {"type": "ORDER_REFUND_REQUEST", "data": {"orderId": "o2", "reason": "another's"}},
        ),
    ],
)
def test_what_a_customer_typed_about_their_own_order_goes_and_the_shops_words_stay(
    body: dict[str, object], expected: dict[str, object]
) -> None:
    assert json.loads(NAMES.body_without(json.dumps(body).encode())) == expected


def test_headers_lose_the_address_and_keep_their_numbers() -> None:
    headers = {"x-error": f"no mail to {EMAIL}", "x-attempts": 4}
    assert NAMES.headers_without(headers) == {"x-error": f"no mail to {ADDRESS}", "x-attempts": 4}


def test_the_queues_that_may_name_a_customer_follow_from_the_contract() -> None:
    assert set(NAMING) >= {
        "STOCK_RESERVED",
        "inventory-events",
        "notifications",
        "order-events",
        "payment-events",
    }
    assert {"inventory", "orders"}.isdisjoint(NAMING)
