"""Codes of an authenticator app: each counts once, in its time, and a recovery code once at any time."""

from datetime import UTC, datetime, timedelta

import msgspec
import pyotp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.auth import standing, totp
from services.auth.domain import Totp, User
from services.auth.totp import RECOVERY_BYTES, SECONDS

NOW = datetime(2026, 1, 1, 12, 0, 7, tzinfo=UTC)
# Of RFC 6238, appendix B: its time and its code for SHA-1, of which apps show the last six digits.
RFC = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
FRESH = Totp(secret="sealed")
ADA = User(id="u1", email="ada@x.example", name="Ada", password_hash="-", roles=("admin",), created_at=NOW)


def code_at(moment: datetime) -> str:
    return str(pyotp.TOTP(RFC).at(moment))


@pytest.mark.parametrize(
    ("at", "code"), [(59, "287082"), (1111111109, "081804"), (1234567890, "005924"), (20000000000, "353130")]
)
def test_codes_are_those_of_the_rfc(at: int, code: str) -> None:
    moment = datetime.fromtimestamp(at, UTC)
    assert totp.with_code(FRESH, RFC, code, moment) == msgspec.structs.replace(FRESH, last_step=at // SECONDS)
    assert totp.with_code(FRESH, RFC, code[:3] + " " + code[3:], moment) is not None, "as apps show it"


@given(off=st.integers(-300, 300))
def test_a_code_counts_in_its_step_and_the_ones_beside_it(off: int) -> None:
    shown = NOW + timedelta(seconds=off)
    steps = int(shown.timestamp()) // SECONDS - int(NOW.timestamp()) // SECONDS
    assert (totp.with_code(FRESH, RFC, code_at(shown), NOW) is not None) == (abs(steps) <= 1)


@given(offs=st.lists(st.integers(-60, 60), min_size=1, max_size=20))
def test_of_codes_in_whatever_order_none_counts_twice_and_none_before_the_latest(offs: list[int]) -> None:
    factor, steps = FRESH, []
    for off in offs:
        spent = totp.with_code(factor, RFC, code_at(NOW + timedelta(seconds=off)), NOW)
        if spent is not None:
            factor = spent
            steps.append(spent.last_step)
    assert steps == sorted(set(steps))


@given(code=st.text(max_size=64))
def test_what_is_no_code_is_refused(code: str) -> None:
    shown = {code_at(NOW + timedelta(seconds=off)) for off in (-SECONDS, 0, SECONDS)}
    if code not in shown:
        assert totp.with_code(FRESH, RFC, code, NOW) is None
        assert totp.recovered(FRESH, code) is None


def test_digits_of_another_script_are_no_code() -> None:
    arabic = code_at(NOW).translate({ord("0") + digit: 0x660 + digit for digit in range(10)})
    assert totp.with_code(FRESH, RFC, arabic, NOW) is None


def test_a_recovery_code_works_once_and_the_others_after_it() -> None:
    codes = [totp.recovery_code(bytes([number]) * RECOVERY_BYTES) for number in range(3)]
    user = totp.begun(ADA, "sealed", codes)
    assert user.totp is not None
    assert not any(code in str(user.totp) or code.replace("-", "") in str(user.totp) for code in codes)
    once = totp.recovered(user.totp, codes[1].upper())
    assert once is not None
    assert totp.recovered(once, codes[1]) is None
    assert totp.recovered(once, codes[2]) is not None
    assert totp.with_code(user.totp, RFC, codes[0], NOW) is None, "it does not show that the app works"


def test_a_recovery_code_is_read_out_loud_in_groups() -> None:
    # ASVS 6.5.2: with less, a hash that is slow to compute would be needed.
    assert RECOVERY_BYTES * 8 >= 112
    assert totp.recovery_code(bytes.fromhex("5f0c91aa07d2e4b8")) == "5f0c-91aa-07d2-e4b8"


def test_a_second_factor_counts_once_it_is_confirmed_and_ends_the_logins_before_it() -> None:
    begun = totp.begun(ADA, "sealed", [])
    assert begun.totp is not None
    assert (begun.has_totp, begun.epoch) == (False, 0)
    on = totp.confirmed(begun, begun.totp)
    assert (on.has_totp, on.epoch) == (True, 1)
    off = totp.ended(on)
    assert (off.has_totp, off.totp, off.epoch) == (False, None, 2)
    assert totp.ended(off) == off


def test_where_it_is_required_no_administrator_is_one_without_it() -> None:
    staff = msgspec.structs.replace(ADA, roles=("admin", "support"))
    begun = totp.begun(staff, "sealed", [])
    assert begun.totp is not None
    on = totp.confirmed(begun, begun.totp)
    assert totp.granted(staff, required=True) == totp.granted(begun, required=True) == ["support"]
    assert totp.granted(on, required=True) == totp.granted(staff, required=False) == ["admin", "support"]


@pytest.mark.parametrize(
    ("verified", "roles", "stays"),
    [(False, (), False), (True, (), True), (False, ("support",), True), (True, ("support",), True)],
)
def test_a_letter_ends_the_second_factor_of_an_address_that_nobody_had_shown_to_be_theirs(
    *, verified: bool, roles: tuple[str, ...], stays: bool
) -> None:
    """Whom an administrator gave a role, or the settings name, the shop has vouched for."""
    begun = totp.begun(msgspec.structs.replace(ADA, verified=verified, roles=roles), "sealed", [])
    assert begun.totp is not None
    on = totp.confirmed(begun, begun.totp)
    reset = standing.reset_by_letter(on, "hash")
    assert (reset.has_totp, reset.verified, reset.epoch) == (stays, True, on.epoch + 1)


def test_a_second_factor_of_whoever_had_the_administrators_address_is_not_taken_over() -> None:
    begun = totp.begun(msgspec.structs.replace(ADA, roles=()), "sealed", [])
    assert begun.totp is not None
    squatter = totp.confirmed(begun, begun.totp)
    assert standing.appointed(squatter, "hash").totp is None
    administrator = msgspec.structs.replace(squatter, seeded=True, roles=("admin",))
    assert standing.appointed(administrator, "hash").has_totp, "a new password alone is no new person"
