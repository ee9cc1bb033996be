"""Acknowledgements: each delivery once, and no tag that is settled already."""

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from services.shared.engine.acks import STRAGGLERS, Ack, AckWindow


def window(*tags: int) -> AckWindow:
    made = AckWindow(prefetch=200)
    for tag in tags:
        made.delivered(tag)
    return made


def test_one_acknowledgement_covers_all_that_are_done_at_the_front() -> None:
    deliveries = window(1, 2, 3, 4)
    for tag in (2, 1, 4):
        deliveries.settle(tag)
    assert deliveries.take() == [Ack(2, multiple=True)]
    assert len(deliveries) == 2


def test_nothing_is_acknowledged_before_the_first_is_done() -> None:
    deliveries = window(1, 2, 3)
    deliveries.settle(2)
    assert deliveries.take() == []
    deliveries.settle(1)
    assert deliveries.take() == [Ack(2, multiple=True)]


def test_many_that_wait_behind_one_slow_card_are_acknowledged_one_by_one() -> None:
    deliveries = window(*range(1, STRAGGLERS + 2))
    for tag in range(2, STRAGGLERS + 1):
        deliveries.settle(tag)
    assert deliveries.take() == []
    deliveries.settle(STRAGGLERS + 1)
    assert deliveries.take() == [Ack(tag, multiple=False) for tag in range(2, STRAGGLERS + 2)]
    deliveries.settle(1)
    assert deliveries.take() == [Ack(1, multiple=True)]


def test_settling_twice_before_it_is_acknowledged_counts_once() -> None:
    deliveries = window(1, 2)
    deliveries.settle(2)
    deliveries.settle(2)
    deliveries.settle(1)
    assert deliveries.take() == [Ack(2, multiple=True)]
    assert len(deliveries) == 0


class Channel(RuleBasedStateMachine):
    """The broker's side: which tags are outstanding, and what it closes a channel over."""

    tags: Bundle[int] = Bundle("tags")

    def __init__(self) -> None:
        super().__init__()
        self.window = AckWindow(prefetch=200)
        self.next_tag = 1
        self.outstanding: set[int] = set()
        self.done: set[int] = set()

    @rule(target=tags)
    def deliver(self) -> int:
        tag = self.next_tag
        self.next_tag += 1
        self.outstanding.add(tag)
        self.window.delivered(tag)
        return tag

    @rule(tag=consumes(tags))
    def settle(self, tag: int) -> None:
        self.done.add(tag)
        self.window.settle(tag)

    @rule()
    def acknowledge(self) -> None:
        for ack in self.window.take():
            assert ack.tag in self.outstanding, "the broker closes the channel over an unknown tag"
            covered = {tag for tag in self.outstanding if tag <= ack.tag} if ack.multiple else {ack.tag}
            assert covered <= self.done, "acknowledged before it was done"
            self.outstanding -= covered

    @invariant()
    def the_window_holds_what_the_broker_holds(self) -> None:
        assert len(self.window) == len(self.outstanding)

    def teardown(self) -> None:
        for tag in sorted(self.outstanding - self.done, reverse=True):
            self.settle(tag)
        self.acknowledge()
        assert not self.outstanding, "done, and never acknowledged"


TestChannel = Channel.TestCase
TestChannel.settings = settings(max_examples=100, stateful_step_count=80)


@given(st.permutations(range(1, 121)), st.integers(1, 40))
def test_in_whatever_order_they_are_done_each_is_acknowledged_once(order: list[int], every: int) -> None:
    deliveries = window(*sorted(order))
    outstanding = set(order)
    done: set[int] = set()
    for position, tag in enumerate(order, start=1):
        deliveries.settle(tag)
        done.add(tag)
        if position % every and position < len(order):
            continue
        for ack in deliveries.take():
            assert ack.tag in outstanding
            covered = {each for each in outstanding if each <= ack.tag} if ack.multiple else {ack.tag}
            assert covered <= done
            outstanding -= covered
    assert not outstanding


def test_of_a_small_window_what_is_done_behind_an_open_one_does_not_wait_for_it() -> None:
    window = AckWindow(prefetch=2)
    window.delivered(1)
    window.delivered(2)
    window.settle(2)
    assert window.take() == [Ack(2, multiple=False)]
