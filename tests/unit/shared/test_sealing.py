"""A secret at rest opens with a key that sealed it, as what it was sealed, unchanged, and not otherwise."""

import base64
import hmac
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.shared.sealing import CannotBeOpened, Seals

OLD, NEW, OTHER = (bytes([number]) * 32 for number in range(3))
SEALS = Seals([OLD])


@given(secret=st.binary(max_size=5000), what=st.text())
def test_what_was_sealed_opens_as_what_it_was(secret: bytes, what: str) -> None:
    sealed = SEALS.seal(secret, what)
    assert SEALS.open(sealed, what) == secret
    with pytest.raises(CannotBeOpened, match="was changed after it was sealed, or is another's"):
        SEALS.open(sealed, what + "2")


@given(secret=st.binary(min_size=16, max_size=100))
def test_what_is_sealed_shows_nothing_and_is_another_text_each_time(secret: bytes) -> None:
    sealed = SEALS.seal(secret, "totp/1")
    assert secret not in base64.urlsafe_b64decode(sealed.rpartition(".")[2])
    assert SEALS.seal(secret, "totp/1") != sealed


@given(data=st.data())
def test_no_changed_byte_goes_unnoticed(data: st.DataObject) -> None:
    head, _, text = SEALS.seal(b"the secret", "totp/1").rpartition(".")
    raw = bytearray(base64.urlsafe_b64decode(text))
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(CannotBeOpened):
        SEALS.open(f"{head}.{base64.urlsafe_b64encode(raw).decode()}", "totp/1")


@given(text=st.one_of(st.text(), st.text("1.abcdef0-_=").map(lambda text: f"1.{_name()}.{text}")))
def test_what_was_never_sealed_does_not_open(text: str) -> None:
    with pytest.raises(CannotBeOpened):
        SEALS.open(text, "totp/1")


def test_one_key_follows_another() -> None:
    sealed = SEALS.seal(b"the secret", "totp/1")
    both = Seals([NEW, OLD])
    assert both.open(sealed, "totp/1") == b"the secret"
    assert not both.is_newest(sealed)
    anew = both.seal(both.open(sealed, "totp/1"), "totp/1")
    assert both.is_newest(anew)
    assert Seals([NEW]).open(anew, "totp/1") == b"the secret"


def test_another_key_opens_nothing() -> None:
    with pytest.raises(CannotBeOpened, match="with a key that SECRETS_KEY does not hold"):
        Seals([OTHER]).open(SEALS.seal(b"the secret", "totp/1"), "totp/1")


# --- what is known again, and sealed nowhere --------------------------------------------------------------


@given(what=st.text(), other=st.text())
def test_a_proof_is_of_one_thing_and_always_the_same(what: str, other: str) -> None:
    proof = SEALS.proof(what)
    assert SEALS.proof(what) == proof
    assert SEALS.is_proof(proof, what)
    assert SEALS.is_proof(proof, other) == (what == other)


@given(said=st.text() | st.text("AB0-_", min_size=43, max_size=43))
def test_what_nobody_made_proves_nothing(said: str) -> None:
    assert not SEALS.is_proof(said, "letters/1")
    assert not SEALS.is_proof("", "letters/1")


def test_a_proof_is_known_as_long_as_its_key_is_there_and_the_newest_makes_the_next() -> None:
    proof = SEALS.proof("letters/1")
    both = Seals([NEW, OLD])
    assert both.is_proof(proof, "letters/1")
    assert both.proof("letters/1") == Seals([NEW]).proof("letters/1") != proof
    assert not Seals([NEW]).is_proof(proof, "letters/1")


def test_a_proof_has_256_bits_in_characters_of_urls_and_tells_no_key() -> None:
    proof = SEALS.proof("letters/1")
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", proof)
    plainly = hmac.digest(OLD, b"letters/1", "sha256")
    assert base64.urlsafe_b64decode(proof + "=") != plainly, "what seals is not what proves"


def test_keys_are_read_as_they_are_written_in_the_setting() -> None:
    old, new = (base64.b64encode(key).decode() for key in (OLD, NEW))
    sealed = SEALS.seal(b"the secret", "totp/1")
    assert Seals.parse(f"{new}, {old}\n").open(sealed, "totp/1") == b"the secret"


def _name() -> str:
    return SEALS.seal(b"", "").split(".")[1]
