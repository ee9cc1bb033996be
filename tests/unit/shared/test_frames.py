"""Our frames against the client library's, byte by byte."""

from datetime import UTC, datetime

import pytest
from aiormq.abc import ChannelFrame
from hypothesis import given
from hypothesis import strategies as st
from pamqp.body import ContentBody
from pamqp.commands import Basic
from pamqp.header import ContentHeader

from services.shared.engine import frames

CHANNELS = st.integers(min_value=1, max_value=65535)
SHORT = st.text(min_size=1, max_size=60)
NAME = st.from_regex(r"[a-zA-Z0-9.:_-]{1,40}", fullmatch=True)
HEADERS = st.dictionaries(
    st.sampled_from(["x-schema-version", "traceparent"]), st.integers(0, 5) | st.text(), min_size=1
)
AT = st.datetimes(min_value=datetime(2000, 1, 1), max_value=datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


@given(CHANNELS, NAME, NAME, SHORT, SHORT, st.binary(max_size=50), AT, HEADERS, st.integers(1, 20))
def test_a_published_message_is_what_the_library_would_write(  # noqa: PLR0917  # as many as @given gives
    channel: int,
    exchange: str,
    key: str,
    id_: str,
    subject: str,
    body: bytes,
    at: datetime,
    headers: dict[str, str | int],
    largest: int,
) -> None:
    properties = Basic.Properties(
        content_type="application/json",
        delivery_mode=2,
        message_id=id_,
        correlation_id=subject,
        message_type=key,
        timestamp=at,
        headers=dict(headers),
    )
    theirs = ChannelFrame.marshall(
        channel_number=channel,
        frames=[
            Basic.Publish(exchange=exchange, routing_key=key, mandatory=True),
            ContentHeader(properties=properties, body_size=len(body)),
            *(ContentBody(body[start : start + largest]) for start in range(0, len(body), largest)),
        ],
    )
    ours = frames.publish(
        channel,
        exchange,
        key,
        body,
        message_id=id_,
        correlation_id=subject,
        timestamp=at,
        headers=dict(headers),
        largest=largest,
    )
    assert ours == theirs.payload


@given(channel=CHANNELS, tag=st.integers(min_value=1, max_value=2**63 - 1), multiple=st.booleans())
def test_an_acknowledgement_is_what_the_library_would_write(
    channel: int, tag: int, *, multiple: bool
) -> None:
    theirs = ChannelFrame.marshall(
        channel_number=channel, frames=[Basic.Ack(delivery_tag=tag, multiple=multiple)]
    )
    assert frames.ack(channel, tag, multiple=multiple) == theirs.payload


def test_what_does_not_fit_into_the_envelope_is_refused() -> None:
    with pytest.raises(ValueError, match="256 bytes"):
        frames.publish(
            1,
            "x",
            "y",
            b"",
            message_id="1",
            correlation_id="🛒" * 64,
            timestamp=datetime(2026, 1, 1, tzinfo=UTC),
            headers={},
            largest=100,
        )
