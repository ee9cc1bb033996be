"""Rows of the outbox as a replica of another release wrote them: any replica may claim them."""

from datetime import UTC, datetime

from bson import ObjectId

from services.shared.engine.leases import lease_of_writer
from services.shared.engine.rows import OutboxEvent, Row

AT = datetime(2026, 11, 23, tzinfo=UTC)
EVENT = OutboxEvent("1", "ORDER_PAID", "order-1", "{}", "00-aa-bb-01", "sagashop=abc")
ROW = Row(ObjectId(), (EVENT,), AT, lease_of_writer(AT))


def test_a_row_is_read_as_it_was_written() -> None:
    assert Row.of(ROW.to_document()) == ROW


def test_fields_that_a_newer_release_adds_to_an_event_are_left_out() -> None:
    document = ROW.to_document()
    document["events"][0]["priority"] = 9
    assert Row.of(document) == ROW


def test_fields_that_an_older_release_did_not_know_are_empty() -> None:
    document = ROW.to_document()
    del document["events"][0]["tracestate"]
    assert Row.of(document).events == (EVENT._replace(tracestate=None),)
