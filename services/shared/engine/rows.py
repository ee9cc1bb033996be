"""Outbox rows: the events of one committed batch, as they are stored and published."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple

from bson import ObjectId

from services.shared.contract import wire
from services.shared.contract.decisions import Decision, Message
from services.shared.contract.identity import cause, event_id

Document = dict[str, Any]


class OutboxEvent(NamedTuple):
    """An event as it lies in the outbox, ready to be published."""

    id: str
    type: str
    # What it is about: its correlation id.
    subject: str
    body: str
    traceparent: str | None
    tracestate: str | None = None

    def to_document(self) -> Document:
        """As `_asdict`, in a third of its time."""
        return {
            "id": self.id,
            "type": self.type,
            "subject": self.subject,
            "body": self.body,
            "traceparent": self.traceparent,
            "tracestate": self.tracestate,
        }

    @classmethod
    def of(cls, document: Document) -> "OutboxEvent":
        """Of a replica of another release, too: what a newer one adds is left out."""
        return cls(**{name: value for name, value in document.items() if name in cls._fields})


class Row(NamedTuple):
    id: ObjectId
    events: tuple[OutboxEvent, ...]
    # When it was committed.
    at: datetime
    # Until then it is one replica's to publish; then anybody's (`leases.py`).
    due: datetime

    def to_document(self) -> Document:
        return {
            "_id": self.id,
            "due": self.due,
            "at": self.at,
            "events": [event.to_document() for event in self.events],
        }

    @classmethod
    def of(cls, document: Document) -> "Row":
        events = tuple(OutboxEvent.of(event) for event in document["events"])
        return cls(document["_id"], events, document["at"], document["due"])


def events_of(message: Message, decision: Decision) -> Iterable[OutboxEvent]:
    caused_by = cause(message.source, message.id)
    for index, event in enumerate(decision.events):
        yield OutboxEvent(
            event_id(caused_by, event.type, index),
            event.type,
            event.subject,
            wire.encode(event).decode(),
            message.traceparent,
            message.tracestate,
        )
