"""What administrators do with an endpoint, and when it is disabled."""

from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from services.notification.cloudevents import EventType
from services.notification.domain import NOTIFICATIONS
from services.notification.endpoints import (
    GIVEN_UP_AFTER,
    MOST_ENDPOINTS,
    MOST_SECRETS,
    ROTATED_OVER,
    AdvanceReplay,
    ChangeEndpoint,
    Command,
    CreateEndpoint,
    DeleteEndpoint,
    EnableEndpoint,
    Endpoint,
    EndpointState,
    ReplayEvents,
    ReportTry,
    ResealSecrets,
    RotateSecret,
    is_news,
    signing,
)
from services.shared.contract.audit import Action, Actor, By, Kind
from services.shared.contract.decisions import Decision, KeyReused, NotFound, Refused, Verdict
from services.shared.contract.idempotency import Key
from tests.unit.memory import NOW, Memory

HOUR = timedelta(hours=1)
BOSS = By(Actor("boss", Kind.USER, ("admin",)), "192.0.2.1")
CREATE = CreateEndpoint(
    endpoint_id="w1", url="https://a.example/", description="ours", types=(EventType.PAID,), sealed="s0"
)


class Shop:
    """One endpoint, `w1`."""

    def __init__(self) -> None:
        self.memory = Memory(NOTIFICATIONS)
        self.do(CREATE)

    def do(self, command: Command, at: datetime = NOW) -> Decision:
        return self.memory.decide(self.memory.message(command, at=at, by=BOSS))

    @property
    def endpoint(self) -> Endpoint:
        return self.memory.one(Endpoint, "w1")


@pytest.fixture
def shop() -> Shop:
    return Shop()


def fails(at: datetime, *, gone: bool = False) -> tuple[ReportTry, datetime]:
    return ReportTry(endpoint_id="w1", delivered=False, gone=gone), at


DELIVERED = ReportTry(endpoint_id="w1", delivered=True)


def test_a_new_endpoint_is_enabled_and_signs_by_its_secret(shop: Shop) -> None:
    endpoint = shop.endpoint
    assert (endpoint.state, endpoint.url, signing(endpoint, NOW)) == (
        EndpointState.ENABLED,
        "https://a.example/",
        ("s0",),
    )
    assert endpoint.wants(EventType.PAID)
    assert not endpoint.wants(EventType.REFUNDED)


def test_without_types_it_is_told_of_all(shop: Shop) -> None:
    shop.do(ChangeEndpoint(endpoint_id="w1", types=()))
    assert all(shop.endpoint.wants(type_) for type_ in EventType)


def test_a_key_that_comes_again_makes_no_second_one() -> None:
    memory, key = Memory(NOTIFICATIONS), Key("create-webhook/boss/k", "hash")
    first = CreateEndpoint(endpoint_id="w1", key=key, url="https://a/", description="", types=(), sealed="s")
    memory.decide(memory.message(first))
    again = CreateEndpoint(endpoint_id="w2", key=key, url="https://a/", description="", types=(), sealed="t")
    decision = memory.decide(memory.message(again))
    assert isinstance(decision.reply, Endpoint)
    assert (decision.verdict, decision.reply.id) == (Verdict.DUPLICATE, "w1")
    other = CreateEndpoint(
        endpoint_id="w3", key=key._replace(request="x"), url="", description="", types=(), sealed=""
    )
    with pytest.raises(KeyReused):
        memory.decide(memory.message(other))


def test_there_are_so_many_and_no_more_and_a_key_that_comes_again_is_answered_as_before() -> None:
    memory = Memory(NOTIFICATIONS)
    last = structs.replace(CREATE, key=Key("create-webhook/boss/k", "hash"), others=MOST_ENDPOINTS - 1)
    memory.decide(memory.message(last))
    # By now it is itself one of them.
    again = structs.replace(last, endpoint_id="w2", others=MOST_ENDPOINTS)
    assert memory.decide(memory.message(again)).replayed
    with pytest.raises(Refused, match="50 endpoints"):
        memory.decide(memory.message(structs.replace(again, key=Key("create-webhook/boss/l", "hash"))))


def test_what_is_not_named_stays_as_it_is(shop: Shop) -> None:
    shop.do(ChangeEndpoint(endpoint_id="w1", url="https://b.example/"), NOW + HOUR)
    assert (shop.endpoint.url, shop.endpoint.description) == ("https://b.example/", "ours")
    assert shop.endpoint.updated_at == NOW + HOUR
    assert shop.do(ChangeEndpoint(endpoint_id="w1", description="ours")).changed == ()


# --- secrets ----------------------------------------------------------------------------------------------


def test_for_a_day_after_a_rotation_both_secrets_sign(shop: Shop) -> None:
    shop.do(RotateSecret(endpoint_id="w1", sealed="s1"))
    assert signing(shop.endpoint, NOW + ROTATED_OVER - timedelta(seconds=1)) == ("s1", "s0")
    assert signing(shop.endpoint, NOW + ROTATED_OVER) == ("s1",)


def test_whoever_rotates_again_ends_none_before_its_time(shop: Shop) -> None:
    """As after an answer that was lost: the receiver has the first one still."""
    for number in range(1, MOST_SECRETS):
        shop.do(RotateSecret(endpoint_id="w1", sealed=f"s{number}"), NOW + number * HOUR)
    assert signing(shop.endpoint, NOW + 23 * HOUR) == ("s4", "s3", "s2", "s1", "s0")
    with pytest.raises(Refused, match="wait until the oldest"):
        shop.do(RotateSecret(endpoint_id="w1", sealed="s5"), NOW + 23 * HOUR)
    # A day after it had its successor, and none of the hours since.
    assert signing(shop.endpoint, NOW + 25 * HOUR) == ("s4", "s3", "s2", "s1")
    shop.do(RotateSecret(endpoint_id="w1", sealed="s5"), NOW + 25 * HOUR)
    assert [each.sealed for each in shop.endpoint.secrets] == ["s5", "s4", "s3", "s2", "s1"]


@given(st.lists(st.timedeltas(timedelta(0), timedelta(hours=30)), max_size=12))
def test_a_secret_signs_for_a_day_after_the_next_and_there_is_always_one(pauses: list[timedelta]) -> None:
    shop, at, given = Shop(), NOW, [("s0", NOW)]
    for number, pause in enumerate(pauses, start=1):
        at += pause
        try:
            shop.do(RotateSecret(endpoint_id="w1", sealed=f"s{number}"), at)
        except Refused:
            assert len(signing(shop.endpoint, at)) == MOST_SECRETS
        else:
            given.append((f"s{number}", at))
        replaced = pairwise(given)
        expected = [name for (name, _), (_, since) in replaced if at < since + ROTATED_OVER]
        assert list(signing(shop.endpoint, at)) == [given[-1][0], *reversed(expected)]


def test_secrets_that_are_sealed_anew_keep_their_places_and_ends(shop: Shop) -> None:
    shop.do(RotateSecret(endpoint_id="w1", sealed="s1"))
    before = shop.endpoint.secrets
    shop.do(ResealSecrets(endpoint_id="w1", sealed={"s0": "t0", "unknown": "x"}))
    assert [(each.sealed, each.until) for each in shop.endpoint.secrets] == [
        ("s1", None),
        ("t0", before[1].until),
    ]


# --- when it is disabled ----------------------------------------------------------------------------------


def test_one_that_is_gone_is_disabled_at_once(shop: Shop) -> None:
    shop.do(*fails(NOW, gone=True))
    assert (shop.endpoint.state, shop.endpoint.reason) == (EndpointState.DISABLED, "it answered 410 Gone")


def test_one_to_which_nothing_was_delivered_for_three_days_is_disabled(shop: Shop) -> None:
    shop.do(*fails(NOW))
    assert shop.endpoint.failing_since == NOW
    shop.do(*fails(NOW + GIVEN_UP_AFTER - timedelta(seconds=1)))
    states = [shop.endpoint.state]
    shop.do(*fails(NOW + GIVEN_UP_AFTER))
    states.append(shop.endpoint.state)
    assert states == [EndpointState.ENABLED, EndpointState.DISABLED]
    assert shop.endpoint.reason == "nothing was delivered for 72 hours"


def test_one_delivery_begins_the_three_days_anew(shop: Shop) -> None:
    shop.do(*fails(NOW))
    shop.do(DELIVERED, NOW + 70 * HOUR)
    shop.do(*fails(NOW + 71 * HOUR))
    shop.do(*fails(NOW + 80 * HOUR))
    assert (shop.endpoint.state, shop.endpoint.failing_since) == (EndpointState.ENABLED, NOW + 71 * HOUR)


def test_once_it_is_enabled_again_nothing_is_held_against_it(shop: Shop) -> None:
    shop.do(*fails(NOW, gone=True))
    shop.do(EnableEndpoint(endpoint_id="w1"), NOW + HOUR)
    assert (shop.endpoint.state, shop.endpoint.reason, shop.endpoint.failing_since) == (
        EndpointState.ENABLED,
        "",
        None,
    )


@given(st.lists(st.tuples(st.booleans(), st.timedeltas(timedelta(0), 30 * HOUR)), max_size=20))
def test_only_what_is_news_changes_anything(tries: list[tuple[bool, timedelta]]) -> None:
    shop, at = Shop(), NOW
    for delivered, pause in tries:
        at += pause
        report = ReportTry(endpoint_id="w1", delivered=delivered)
        news = is_news(shop.endpoint, report, at)
        assert bool(shop.do(report, at).changed) == news


# --- replays ----------------------------------------------------------------------------------------------


def replay(**given: Any) -> ReplayEvents:
    window = {"since": NOW - 48 * HOUR, "until": NOW + 48 * HOUR}
    return ReplayEvents(**{"endpoint_id": "w1", "replay_id": "r1", **window, **given})


def test_a_replay_ends_where_the_present_begins_and_goes_on_from_where_it_was(shop: Shop) -> None:
    shop.do(replay())
    assert shop.endpoint.replay is not None
    assert (shop.endpoint.replay.until, shop.endpoint.replay.done) == (NOW, False)
    where = (NOW - HOUR, "e7")
    shop.do(AdvanceReplay(endpoint_id="w1", replay_id="r1", position=where, count=7))
    shop.do(AdvanceReplay(endpoint_id="w1", replay_id="r0", position=(NOW, "e9"), count=100))
    assert (shop.endpoint.replay.position, shop.endpoint.replay.count) == (where, 7)
    shop.do(AdvanceReplay(endpoint_id="w1", replay_id="r1", position=None, count=0))
    assert (shop.endpoint.replay.position, shop.endpoint.replay.done) == (where, True)


def test_there_is_one_replay_at_a_time(shop: Shop) -> None:
    shop.do(replay())
    with pytest.raises(Refused, match="under way"):
        shop.do(replay(replay_id="r2"))
    shop.do(AdvanceReplay(endpoint_id="w1", replay_id="r1", position=None, count=0))
    shop.do(replay(replay_id="r2"))


def test_nothing_is_replayed_to_one_that_is_disabled_and_disabling_ends_a_replay(shop: Shop) -> None:
    shop.do(replay())
    shop.do(*fails(NOW, gone=True))
    assert shop.endpoint.replay is not None
    assert shop.endpoint.replay.done
    with pytest.raises(Refused, match="enable it first"):
        shop.do(replay(replay_id="r2"))


# --- its end, and who answers for it ----------------------------------------------------------------------


def test_one_that_is_deleted_is_there_no_more_and_leaves_no_secret(shop: Shop) -> None:
    shop.do(DeleteEndpoint(endpoint_id="w1"))
    assert (shop.endpoint.secrets, shop.endpoint.url) == ((), "")
    for command in (DeleteEndpoint(endpoint_id="w1"), EnableEndpoint(endpoint_id="w1"), DELIVERED):
        with pytest.raises(NotFound):
            shop.do(command)


def test_what_people_do_is_on_the_audit_trail_without_the_url() -> None:
    shop = Shop()
    told = [
        shop.do(command).audit
        for command in (
            ChangeEndpoint(endpoint_id="w1", url="https://b.example/?token=secret", types=()),
            RotateSecret(endpoint_id="w1", sealed="s1"),
            replay(),
            DELIVERED,
            DeleteEndpoint(endpoint_id="w1"),
        )
    ]
    entries = [entry for each in told for entry in each]
    assert [(entry.action, entry.subject) for entry in entries] == [
        (Action.WEBHOOK_CHANGED, "w1"),
        (Action.WEBHOOK_SECRET_ROTATED, "w1"),
        (Action.WEBHOOK_REPLAYED, "w1"),
        (Action.WEBHOOK_DELETED, "w1"),
    ]
    assert entries[0].detail == "url, types"
