"""What waits in a place is stuck if it is the same that waited before."""

from hypothesis import given
from hypothesis import strategies as st

from sagactl.oncall.unrest import Waiting, standing

MARKS = st.frozensets(st.sampled_from("abcdef"))
UNREST = st.dictionaries(
    st.sampled_from(["outbox", "queue"]), st.builds(Waiting, st.integers(1, 9), MARKS), max_size=2
)


def test_what_is_the_same_as_before_stands_still_and_what_is_new_moves() -> None:
    before = {"outbox": Waiting(2, frozenset("ab")), "queue": Waiting(5, frozenset({"ack 7"}))}
    assert standing(before, {"outbox": Waiting(3, frozenset("bcd"))}) == {"outbox": 3}
    assert standing(before, {"outbox": Waiting(3, frozenset("cde"))}) == {}
    assert standing(before, {"queue": Waiting(5, frozenset({"ack 7"}))}) == {"queue": 5}
    assert standing(before, {"queue": Waiting(9, frozenset({"ack 8"}))}) == {}


@given(UNREST)
def test_where_nothing_waited_before_or_nothing_waits_now_nothing_stands_still(
    unrest: dict[str, Waiting],
) -> None:
    assert standing({}, unrest) == {}
    assert standing(unrest, {}) == {}
