"""`due`, the whole protocol between replicas, walked through: every interleaving of entry, publishing, claim,
lost connections and crashes of two replicas, in steps of time, with the functions that the outbox uses.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import NamedTuple

from services.shared.engine import leases

START = datetime(2026, 1, 1, tzinfo=UTC)
TICK = timedelta(seconds=4)
# Long enough for the writer's lease, a claim, and another claim after it.
HORIZON = START + leases.LEASE + 2 * leases.CLAIM


class Replica(NamedTuple):
    alive: bool = True
    # The end of its lease, as far as it knows; None where it has nothing in memory.
    due: datetime | None = None
    on_wire: bool = False
    confirmed: bool = False

    @property
    def may_send(self) -> bool:
        return self.alive and self.due is not None and not self.on_wire and not self.confirmed


class World(NamedTuple):
    now: datetime
    # The row's `due`; None once it is deleted.
    row: datetime | None
    published: int
    # Somebody crashed, lost a connection, or stood still past the end of a lease.
    disturbed: bool
    replicas: tuple[Replica, ...]

    def having(self, number: int, replica: Replica, **changes: object) -> "World":
        replicas = tuple(replica if each == number else old for each, old in enumerate(self.replicas))
        return self._replace(replicas=replicas, **changes)  # type: ignore[arg-type]  # fields of this class


BEGINNING = World(
    START,
    leases.lease_of_writer(START),
    0,
    disturbed=False,
    replicas=(Replica(due=leases.lease_of_writer(START)), Replica()),
)


def steps(world: World) -> Iterator[World]:
    """Every world that the next step can lead to."""
    for number, replica in enumerate(world.replicas):
        yield from _steps_of(world, number, replica)
    if world.now < HORIZON:
        now = world.now + TICK
        stalls = any(
            each.due is not None and (each.on_wire or each.confirmed) and now >= each.due
            for each in world.replicas
        )
        yield world._replace(now=now, disturbed=world.disturbed or stalls)


def _steps_of(world: World, number: int, replica: Replica) -> Iterator[World]:
    if not replica.alive:
        return
    yield world.having(number, Replica(alive=False), disturbed=True)
    if replica.due is None:
        if world.row is not None and leases.is_due(world.row, world.now):
            until = world.now + leases.CLAIM
            yield world.having(number, replica._replace(due=until), row=until)
        return
    if replica.may_send and leases.lets_go(replica.due, world.now):
        yield world.having(number, Replica())
    elif replica.may_send:
        yield world.having(number, replica._replace(on_wire=True))
    if replica.on_wire:
        confirmed = replica._replace(on_wire=False, confirmed=True)
        lost = replica._replace(on_wire=False)
        yield world.having(number, confirmed, published=world.published + 1)
        yield world.having(number, lost, disturbed=True)
        yield world.having(number, lost, published=world.published + 1, disturbed=True)
    if replica.confirmed:
        yield world.having(number, Replica(), row=None)


@cache
def worlds() -> frozenset[World]:
    """All that can be reached; more than three publications of one event are not followed further."""
    found, frontier = {BEGINNING}, [BEGINNING]
    while frontier:
        for following in steps(frontier.pop()):
            if following.published <= 3 and following not in found:
                found.add(following)
                frontier.append(following)
    return frozenset(found)


def test_a_row_leaves_only_after_its_event_was_published() -> None:
    assert len(worlds()) > 1000
    assert all(world.published for world in worlds() if world.row is None)


def test_at_most_one_replica_at_a_time_may_put_an_event_on_the_wire() -> None:
    for world in worlds():
        able = [
            each
            for each in world.replicas
            if each.may_send and each.due is not None and not leases.lets_go(each.due, world.now)
        ]
        assert len(able) <= 1, world


def test_without_a_crash_a_lost_connection_or_a_stall_an_event_is_published_once() -> None:
    assert all(world.published <= 1 for world in worlds() if not world.disturbed)
    # The other half: the model does know worlds in which it is published again.
    assert any(world.published > 1 for world in worlds())


def test_whatever_happened_one_replica_that_is_well_publishes_the_event() -> None:
    longest = leases.CLAIM + 2 * TICK
    for world in worlds():
        for number, replica in enumerate(world.replicas):
            if replica.alive and not world.published:
                assert _published_by(world, number) - world.now <= longest, world


def _published_by(world: World, number: int) -> datetime:
    """When the replica has published it, doing what it does, alone."""
    replica, now, row = world.replicas[number], world.now, world.row
    while True:
        assert row is not None
        if replica.on_wire:
            return now
        if replica.due is not None and not leases.lets_go(replica.due, now):
            return now
        # Let go of, or never had: claimed once it is due.
        if leases.is_due(row, now):
            return now
        replica, now = Replica(), now + TICK


def test_a_due_that_no_clock_can_have_meant_counts_as_past() -> None:
    assert leases.is_due(START + leases.TOO_FAR + TICK, START)
    assert not leases.is_due(START + leases.REST_MOST, START)


def test_a_refused_row_rests_as_long_as_it_is_old_between_ten_seconds_and_an_hour() -> None:
    def rest(age: timedelta) -> timedelta:
        return leases.rest_until(START - age, START) - START

    assert rest(timedelta(0)) == timedelta(seconds=10)
    assert rest(timedelta(minutes=7)) == timedelta(minutes=7)
    assert rest(timedelta(days=2)) == timedelta(hours=1)
