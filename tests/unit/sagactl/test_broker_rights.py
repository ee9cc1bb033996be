"""On the broker each user may do what the contract has it do, and nothing else."""

import re
from itertools import chain

import pytest

from sagactl.provision.broker_rights import BROKER_USERS, TOOLS, permissions, topic_permissions
from services.shared.contract import topology
from services.shared.contract.events import CONSUMES, ENGINES, EXCHANGE, PUBLISHES

SERVICES = sorted(ENGINES)
DEFAULT = "amq.default"  # what RabbitMQ calls the default exchange here; it would reach every queue


def queues_of(service: str) -> set[str]:
    return {name for queue in CONSUMES.get(service, {}) for name in topology.all_queues(queue)}


EXCHANGES = {EXCHANGE, DEFAULT, "amq.topic", *map(topology.retry_exchange, SERVICES)}
EVERYTHING = EXCHANGES | set(chain.from_iterable(map(queues_of, SERVICES)))
TYPES = {event.type for events in PUBLISHES.values() for event in events}


def allowed(pattern: str, names: set[str]) -> set[str]:
    """As RabbitMQ matches: anywhere in the name."""
    return {name for name in names if re.search(pattern, name)}


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_makes_and_deletes_its_own_things_only(service: str) -> None:
    own = {topology.retry_exchange(service)} if service in CONSUMES else set()
    assert allowed(permissions(service)["configure"], EVERYTHING) == own | queues_of(service)


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_writes_to_its_own_things_and_to_the_events_if_it_has_some(service: str) -> None:
    own = {topology.retry_exchange(service)} if service in CONSUMES else set()
    events = {EXCHANGE} if service in PUBLISHES else set()
    assert allowed(permissions(service)["write"], EVERYTHING) == own | queues_of(service) | events


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_reads_its_own_queues_and_no_dead_letters(service: str) -> None:
    own = {topology.retry_exchange(service), EXCHANGE} if service in CONSUMES else set()
    dead = {topology.dead_letter_queue(queue) for queue in CONSUMES.get(service, {})}
    assert allowed(permissions(service)["read"], EVERYTHING) == own | (queues_of(service) - dead)


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_publishes_its_own_events_and_binds_to_those_that_it_consumes(service: str) -> None:
    rights = topic_permissions(service)
    assert rights["exchange"] == EXCHANGE
    published = {event.type for event in PUBLISHES.get(service, ())}
    consumed = {event.type for events in CONSUMES.get(service, {}).values() for event in events}
    assert allowed(rights["write"], TYPES | {"#", "*", "x"}) == published
    assert allowed(rights["read"], TYPES | {"#", "*", "x"}) == consumed


@pytest.mark.parametrize("tool", TOOLS)
def test_a_tool_takes_dead_letters_and_hands_them_back_and_no_more(tool: str) -> None:
    rights = permissions(tool)
    assert allowed(rights["configure"], EVERYTHING) == set()
    assert allowed(rights["write"], EVERYTHING) == {topology.retry_exchange(each) for each in CONSUMES}
    dead = {topology.dead_letter_queue(queue) for queues in CONSUMES.values() for queue in queues}
    assert allowed(rights["read"], EVERYTHING) == dead
    topics = topic_permissions(tool)
    assert allowed(topics["write"], TYPES) == allowed(topics["read"], TYPES) == set()


@pytest.mark.parametrize("user", BROKER_USERS)
def test_a_longer_name_gives_no_right(user: str) -> None:
    longer = {f"{name}2" for name in EVERYTHING} | {f"x{name}" for name in EVERYTHING}
    assert [name for pattern in permissions(user).values() for name in allowed(pattern, longer)] == []
