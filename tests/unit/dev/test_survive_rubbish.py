"""Rubbish is what it says: for every queue, and unreadable where it has to be dead at once."""

import pytest

from dev.faults.raw_amqp import encode_properties
from dev.survive.rubbish import QUEUES, dead_at_once, pieces
from dev.survive.scenario import SCENARIOS
from services.shared.contract import wire
from services.shared.contract.events import CONSUMES


def test_no_queue_is_spared() -> None:
    assert set(QUEUES) == {queue for queues in CONSUMES.values() for queue in queues}


@pytest.mark.parametrize("queue", QUEUES)
def test_each_piece_is_wrong_in_its_own_way_and_can_be_put_on_the_wire(queue: str) -> None:
    thrown = list(pieces(queue))
    assert len({piece.what for piece in thrown}) == len(thrown)
    assert all(encode_properties(piece.properties) for piece in thrown)


@pytest.mark.parametrize("queue", QUEUES)
def test_no_consumer_can_read_what_has_to_be_dead_at_once(queue: str) -> None:
    for piece in dead_at_once(queue):
        with pytest.raises(wire.InvalidMessage):
            wire.decode(queue, piece.body)


def test_scenarios_go_by_their_names() -> None:
    assert all(scenario.name == name for name, scenario in SCENARIOS.items())
    assert any(not scenario.in_short for scenario in SCENARIOS.values())
