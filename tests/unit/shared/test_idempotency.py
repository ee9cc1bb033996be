"""Idempotency keys: the same request again is the same answer, another request is refused, for a day."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import pytest
from msgspec import structs

from services.shared.contract.decisions import (
    Aggregate,
    Decision,
    Domain,
    KeyReused,
    Loaded,
    Message,
    Ref,
    Refused,
    Verdict,
)
from services.shared.contract.idempotency import (
    LIFETIME,
    IdempotencyKey,
    Key,
    Keyed,
    earlier_subject,
    key_id,
    key_of,
    once,
    request_hash,
)
from tests.unit.memory import NOW, Memory

AT = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
KEY = Key(key_id("customer", "key"), request_hash({"ids": ["a"], "quantities": [1]}))
ANOTHER = KEY._replace(request=request_hash({"ids": ["b"]}))
FOUND = IdempotencyKey(id=KEY.id, request=KEY.request, subject="order-1", at=AT)


def test_a_key_used_for_the_first_time_has_no_earlier_subject() -> None:
    assert earlier_subject(None, KEY, AT) is None


def test_the_same_request_again_gives_what_it_gave() -> None:
    assert earlier_subject(FOUND, KEY, AT + timedelta(hours=3)) == "order-1"


def test_a_key_for_another_request_is_refused() -> None:
    with pytest.raises(KeyReused, match="send a new key"):
        earlier_subject(FOUND, ANOTHER, AT)


def test_a_key_lives_for_a_day_to_the_millisecond() -> None:
    last = AT + LIFETIME - timedelta(milliseconds=1)
    assert earlier_subject(FOUND, KEY, last) == "order-1"
    assert earlier_subject(FOUND, KEY, AT + LIFETIME) is None
    assert earlier_subject(FOUND, ANOTHER, AT + LIFETIME) is None


def test_equal_requests_have_one_hash_whatever_the_order_of_their_keys() -> None:
    assert request_hash({"a": 1, "b": [1, 2]}) == request_hash({"b": [1, 2], "a": 1})
    assert request_hash({"b": [1, 2]}) != request_hash({"b": [2, 1]})


def test_keys_of_two_customers_do_not_meet() -> None:
    assert key_id("ann", "1") != key_id("bob", "1")


def test_whoever_gives_no_key_has_none() -> None:
    assert key_of("ann", None, {}) is None
    assert key_of("ann", "1", {}) == Key("ann/1", request_hash({}))


# --- carried out once, by the simplest rules there are ----------------------------------------------------


class Tally(Aggregate, frozen=True, kw_only=True):
    collection = "tallies"
    count: int = 0


class Add(Keyed, frozen=True, kw_only=True):
    tally: str
    pieces: int


def home(message: Message) -> Ref:
    return Ref(Tally, message.body.tally)  # type: ignore[attr-defined]  # an Add


def reads(_: Message, __: Loaded) -> Iterable[Ref]:
    return ()


def add(loaded: Loaded, message: Message) -> Decision:
    command = message.body
    assert isinstance(command, Add)
    before = loaded.get(Tally, command.tally) or Tally(id=command.tally)
    if before.count + command.pieces > 9:
        raise Refused("a tally ends with nine")
    if not command.pieces:
        return Decision(reply=before, verdict=Verdict.DUPLICATE)
    after = structs.replace(before, count=before.count + command.pieces)
    return Decision(changed=(after,), reply=after)


def tallies() -> Memory:
    return Memory(once(Domain(home=home, reads=reads, decide=add)))


def two(key: str | None, *, to: str = "lamps", pieces: int = 2) -> Add:
    return Add(tally=to, pieces=pieces, key=key_of("ann", key, [to, pieces]))


def test_without_a_key_each_command_counts() -> None:
    memory = tallies()
    assert [memory.handle(two(None)).replayed for _ in range(2)] == [False, False]
    assert memory.one(Tally, "lamps").count == 4


def test_with_a_key_it_counts_once_and_the_answer_says_so() -> None:
    memory = tallies()
    first, again = memory.handle(two("k")), memory.handle(two("k"))
    assert (first.replayed, again.replayed, again.verdict) == (False, True, Verdict.DUPLICATE)
    assert (again.changed, again.events, again.audit) == ((), (), ())
    assert memory.one(Tally, "lamps").count == 2


def test_the_answer_to_a_key_is_how_things_are_now() -> None:
    memory = tallies()
    memory.handle(two("k"))
    memory.handle(two(None))
    assert memory.handle(two("k")).reply == memory.one(Tally, "lamps")


def test_a_key_is_stored_with_what_it_caused() -> None:
    decision = tallies().handle(two("k"))
    assert {type(each) for each in decision.changed} == {Tally, IdempotencyKey}


@pytest.mark.parametrize("other", [two("k", pieces=3), two("k", to="cups")])
def test_a_key_that_comes_with_something_else_is_refused(other: Add) -> None:
    memory = tallies()
    memory.handle(two("k"))
    with pytest.raises(KeyReused):
        memory.handle(other)


def test_what_is_refused_may_be_asked_for_again_with_its_key() -> None:
    memory = tallies()
    memory.handle(two(None, pieces=9))
    with pytest.raises(Refused):
        memory.handle(two("k"))
    memory.handle(two(None, pieces=-2))
    assert not memory.handle(two("k")).replayed
    assert memory.one(Tally, "lamps").count == 9


def test_a_command_that_changed_nothing_holds_its_key_too() -> None:
    memory = tallies()
    memory.handle(two(None))
    memory.handle(two("k", pieces=0))
    assert memory.handle(two("k", pieces=0)).replayed
    with pytest.raises(KeyReused):
        memory.handle(two("k"))


def test_a_key_is_free_again_after_a_day_for_anything() -> None:
    memory = tallies()
    memory.handle(two("k"))
    memory.handle(two("k", pieces=3), at=NOW + LIFETIME)
    assert memory.one(Tally, "lamps").count == 5
    key = memory.one(IdempotencyKey, "ann/k")
    assert (key.at, key.version) == (NOW + LIFETIME, 2)
