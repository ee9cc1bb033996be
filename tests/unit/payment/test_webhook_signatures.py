"""What is signed as Stripe signs is believed to come from the gateway, for five minutes; nothing else is."""

import pytest

from services.payment.gateway import BadSignature
from services.payment.signatures import TOLERANCE_SECONDS, sign, verify

BODY = b'{"id":"evt_1"}'
AT = 1_700_000_000
SIGNED = sign(BODY, "now", AT)


def test_what_was_signed_by_one_of_our_secrets_is_believed() -> None:
    for secrets in (("now",), ("next", "now"), ("now", "before")):
        verify(SIGNED, BODY, secrets, AT)
    verify(SIGNED, BODY, ["now"], AT + TOLERANCE_SECONDS)
    verify(SIGNED, BODY, ["now"], AT - TOLERANCE_SECONDS)


def test_of_several_signatures_one_has_to_be_ours() -> None:
    """Gateways sign by both of their secrets while these are exchanged."""
    _, _, ours = SIGNED.partition(",")
    verify(f"t={AT},v1=00,{ours},v0=11", BODY, ["now"], AT)


@pytest.mark.parametrize(
    ("header", "body", "secrets", "now"),
    [
        (SIGNED, BODY, [], AT),
        (SIGNED, BODY, [""], AT),
        (sign(BODY, "", AT), BODY, ["", "now"], AT),
        (SIGNED, BODY, ["another"], AT),
        (SIGNED, BODY + b" ", ["now"], AT),
        (SIGNED, BODY, ["now"], AT + TOLERANCE_SECONDS + 1),
        (SIGNED, BODY, ["now"], AT - TOLERANCE_SECONDS - 1),
        (SIGNED.replace(f"t={AT}", f"t={AT + 1}"), BODY, ["now"], AT),
        (f"t={AT},{SIGNED}", BODY, ["now"], AT),
        (SIGNED.replace("v1=", "v0="), BODY, ["now"], AT),
        (SIGNED.partition(",")[2], BODY, ["now"], AT),
        ("", BODY, ["now"], AT),
        ("t=,v1=", BODY, ["now"], AT),
        ("t=²,v1=00", BODY, ["now"], AT),
        ("t=" + "9" * 5000 + ",v1=00", BODY, ["now"], AT),
        (f"t={AT},v1=é", BODY, ["now"], AT),
    ],
)
def test_anything_else_is_not(header: str, body: bytes, secrets: list[str], now: float) -> None:
    with pytest.raises(BadSignature):
        verify(header, body, secrets, now)
