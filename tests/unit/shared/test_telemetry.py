"""Trace contexts: what is one is passed on, what is not is not believed."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.trace import SpanKind

from services.shared import telemetry
from services.shared.contract.decisions import Message

SAMPLED = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
UNSAMPLED = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
NOT_A_TRACEPARENT = [
    None,
    "",
    "garbage",
    "00-1-2-01",
    "00-00000000000000000000000000000000-b7ad6b7169203331-01",
    "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
    "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
    "00-0x0af7651916cd43dd8448eb211c8031-b7ad6b7169203331-01",
    "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
    f"{SAMPLED}\n",
    f" {SAMPLED}",
]


@given(st.integers(1, 2**128 - 1), st.integers(1, 2**64 - 1), st.integers(0, 255))
def test_a_trace_context_survives_being_read_and_written(trace: int, span: int, flags: int) -> None:
    written = f"00-{trace:032x}-{span:016x}-{flags:02x}"
    context = telemetry.parse(written)
    assert context is not None
    assert telemetry.render(context) == written
    assert telemetry.trace_id(written) == f"{trace:032x}"


def test_a_later_version_may_have_more_parts() -> None:
    assert telemetry.trace_id(f"01{SAMPLED[2:]}-what-comes-later") == "0af7651916cd43dd8448eb211c80319c"


@pytest.mark.parametrize("text", NOT_A_TRACEPARENT)
def test_what_is_no_trace_context_is_not_taken_for_one(text: str | None) -> None:
    assert telemetry.parse(text) is None
    assert telemetry.trace_id(text) is None


@pytest.mark.parametrize("text", NOT_A_TRACEPARENT)
def test_what_a_client_sends_as_a_trace_is_not_passed_on_unless_it_is_one(text: str | None) -> None:
    _, inside = telemetry.start_span("POST", text, SpanKind.SERVER, {})
    assert inside is None or telemetry.parse(inside) is not None


@pytest.mark.parametrize("parent", [SAMPLED, UNSAMPLED])
def test_without_an_exporter_the_callers_trace_goes_through_us(parent: str) -> None:
    span, inside = telemetry.start_span("POST", parent, SpanKind.SERVER, {})
    assert telemetry.trace_id(inside) == telemetry.trace_id(parent)
    assert not span.is_recording()


def test_an_unsampled_trace_costs_no_span() -> None:
    span, inside = telemetry.start_span("POST", UNSAMPLED, SpanKind.SERVER, {})
    assert not span.get_span_context().is_valid
    assert inside == UNSAMPLED


def test_a_trace_is_current_inside_and_not_after() -> None:
    with telemetry.within(SAMPLED):
        assert telemetry.current_traceparent() == SAMPLED
    assert telemetry.current_traceparent() is None


@given(st.text())
def test_a_message_under_whatever_header_can_name_its_trace(header: str) -> None:
    """A header of any client once made its order fail."""
    _, inside = telemetry.start_span("POST", header, SpanKind.SERVER, {})
    message = Message(id="1", source="http", body=None, at=datetime.now(UTC), traceparent=inside)
    assert message.trace_id is None or len(message.trace_id) == 32
