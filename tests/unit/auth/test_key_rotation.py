"""A key is known before it signs, and until the last token that it signed has expired."""

from datetime import UTC, datetime, timedelta

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from services.auth.domain import ACCESS_TTL
from services.auth.rotation import Rotation, SigningKey, Turn, live, next_id

NOW = datetime(2026, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
MONTH = Rotation(timedelta(days=30))
AGES = st.integers(60, 60 * 24 * 60).map(lambda minutes: Rotation(timedelta(minutes=minutes)))


def key(number: int, created_at: datetime) -> SigningKey:
    return SigningKey(id=str(number), jwk={}, created_at=created_at)


def test_the_first_key_signs_at_once() -> None:
    assert MONTH.is_due([], NOW)
    assert MONTH.signing([key(1, NOW)], NOW).id == "1"


def test_the_next_key_is_published_before_it_signs() -> None:
    keys = [key(1, NOW), key(2, NOW + MONTH.age - MONTH.lead)]
    assert MONTH.signing(keys, NOW + MONTH.age - timedelta(seconds=1)).id == "1"
    assert MONTH.signing(keys, NOW + MONTH.age).id == "2"


def test_the_next_key_is_made_in_time_for_the_newest_to_reach_its_age() -> None:
    assert not MONTH.is_due([key(1, NOW)], NOW + MONTH.age - MONTH.lead - timedelta(seconds=1))
    assert MONTH.is_due([key(1, NOW)], NOW + MONTH.age - MONTH.lead)


def test_numbers_count_on() -> None:
    assert next_id([]) == "1"
    assert next_id([key(9, NOW), key(10, NOW)]) == "11"


@given(rotation=AGES, steps=st.lists(st.integers(1, 60 * 24), min_size=1, max_size=60), data=st.data())
def test_whenever_one_looks_every_live_token_can_be_checked_by_a_published_key(
    rotation: Rotation, steps: list[int], data: st.DataObject
) -> None:
    """A replica looks at odd times, up to a day apart, and signs a token each time. Some keys are revoked."""
    keys: list[SigningKey] = []
    tokens: list[tuple[str, datetime]] = []
    known_since: dict[str, datetime] = {}
    revoked: set[str] = set()
    now = NOW
    for minutes in steps:
        now += minutes * MINUTE
        if live(keys) and data.draw(st.integers(0, 9)) == 0:
            stolen = data.draw(st.sampled_from(live(keys)))
            revoked.add(stolen.id)
            keys[keys.index(stolen)] = msgspec.structs.replace(stolen, revoked_at=now)
        if rotation.is_due(live(keys), now):
            keys.append(key(int(next_id(keys)), now))
        outdated = {old.id for old in rotation.outdated(keys, now)}
        keys = [each for each in keys if each.id not in outdated]
        published = {each.id for each in live(keys)}
        assert not published & revoked
        for each in published:
            known_since.setdefault(each, now)
        signing = rotation.signing(live(keys), now).id
        tokens.append((signing, now))
        others = [each.id for each in live(keys) if each.id != signing]
        assert not others or now - known_since[signing] >= rotation.lead or signing == min(published, key=int)
        assert all(
            id_ in published
            for id_, signed_at in tokens
            if now < signed_at + ACCESS_TTL and id_ not in revoked
        )
        assert [turn for _, turn in rotation.turns(keys, now)].count(Turn.SIGNING) == 1


def test_what_each_key_does_is_told() -> None:
    keys = [
        key(1, NOW),
        key(2, NOW + MONTH.age),
        msgspec.structs.replace(key(3, NOW + MONTH.age), revoked_at=NOW),
        key(4, NOW + 2 * MONTH.age),
    ]
    turns = MONTH.turns(keys, NOW + 2 * MONTH.age)
    assert [(each.id, turn) for each, turn in turns] == [
        ("1", Turn.VERIFYING),
        ("2", Turn.SIGNING),
        ("3", Turn.REVOKED),
        ("4", Turn.NEXT),
    ]


def test_a_revoked_key_stays_on_the_list_for_a_while_and_its_number_is_not_used_again() -> None:
    revoked = msgspec.structs.replace(key(1, NOW), revoked_at=NOW + MINUTE)
    assert MONTH.is_due(live([revoked]), NOW + MINUTE)
    keys = [revoked, key(int(next_id([revoked])), NOW + MINUTE)]
    assert keys[-1].id == "2"
    assert MONTH.outdated(keys, NOW + MONTH.age) == []
    assert MONTH.outdated(keys, NOW + MINUTE + MONTH.age) == [revoked]


@given(rotation=AGES)
def test_no_more_keys_are_published_than_their_ages_explain(rotation: Rotation) -> None:
    keys: list[SigningKey] = []
    for minute in range(0, 600, 5):
        now = NOW + minute * MINUTE
        if rotation.is_due(keys, now):
            keys.append(key(int(next_id(keys)), now))
        keys = [each for each in keys if each not in rotation.outdated(keys, now)]
    longest = rotation.lead + ACCESS_TTL + 10 * MINUTE
    assert len(keys) <= 2 + longest / (rotation.age - rotation.lead)
