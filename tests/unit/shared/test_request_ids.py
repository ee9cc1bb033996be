"""The id of a request: the caller's, or one of ours, and its way through the messages that it causes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.shared import telemetry
from services.shared.http.request_ids import request_id

IDS = st.from_regex(r"[A-Za-z0-9._-]{1,64}", fullmatch=True)


def test_a_request_keeps_the_id_that_the_caller_gave_it() -> None:
    assert request_id({b"x-request-id": b"order-17.a_b"}) == "order-17.a_b"


@pytest.mark.parametrize("given", [b"", b"a b", b"x" * 65, b"\xff", b'"}\n', b"id\n"])
def test_what_is_no_id_is_replaced_by_one(given: bytes) -> None:
    made = request_id({b"x-request-id": given})
    assert len(made) == 32
    assert made != request_id({b"x-request-id": given})


@given(id_=IDS, others=st.text("abc=,:@ ", max_size=600))
def test_the_id_goes_through_whatever_tracestate_there_is(id_: str, others: str) -> None:
    state = telemetry.with_request(telemetry.state_of(others), id_)
    assert telemetry.request_of(state) == id_
    assert telemetry.state_of(state) == state


def test_the_entries_of_others_stay_behind_ours() -> None:
    assert telemetry.with_request("vendor=opaque,other=1", "r-1") == "sagashop=r-1,vendor=opaque,other=1"


def test_an_earlier_id_gives_way() -> None:
    assert telemetry.with_request("a=1,sagashop=old,b=2", "new") == "sagashop=new,a=1,b=2"


def test_of_a_long_tracestate_the_last_entries_make_room() -> None:
    long = f"a={'x' * 240},b={'y' * 240}"
    assert telemetry.with_request(long, "r" * 40) == f"sagashop={'r' * 40},a={'x' * 240}"


@pytest.mark.parametrize("state", [None, "", "vendor=1", "sagashop=", "sagashop=a b", "notsagashop=1"])
def test_without_our_entry_there_is_no_id(state: str | None) -> None:
    assert telemetry.request_of(state) is None


def test_within_a_request_all_that_is_asked_of_others_carries_its_id() -> None:
    with telemetry.within(None, None, "r-1"):
        assert telemetry.onward() == {"x-request-id": "r-1"}
        assert telemetry.current_tracestate() == "sagashop=r-1"
    assert telemetry.onward() == {}


def test_within_a_trace_what_vendors_say_of_it_goes_along() -> None:
    traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    with telemetry.within(traceparent, "vendor=opaque", "r-1"):
        assert telemetry.onward() == {
            "traceparent": traceparent,
            "tracestate": "sagashop=r-1,vendor=opaque",
            "x-request-id": "r-1",
        }
