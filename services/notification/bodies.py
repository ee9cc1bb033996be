"""What goes in and out of the notification service over HTTP."""

from datetime import datetime
from typing import Annotated, Self

from pydantic import AwareDatetime, Field, ValidationInfo, field_validator

from services.notification import examples
from services.notification.cloudevents import EventType
from services.notification.deliveries import Answer, Delivery, DeliveryState
from services.notification.destinations import LONGEST
from services.notification.domain import Notification, NotificationState
from services.notification.endpoints import Endpoint, EndpointState, Replay
from services.shared.http.bodies import Body, View


class NotificationView(View, json_schema_extra={"examples": [examples.NOTIFICATION]}):
    id: str
    kind: str
    order_id: str
    recipient: str | None
    subject: str
    at: datetime
    state: NotificationState
    reason: Annotated[str, Field(description="Why the mail is FAILED")]
    resent_at: Annotated[
        datetime | None, Field(description="When the resending that is in progress was requested")
    ]

    @classmethod
    def of(cls, notification: Notification) -> Self:
        resend = notification.resend
        return cls(
            id=notification.id,
            kind=notification.kind,
            order_id=notification.order_id,
            recipient=notification.recipient,
            subject=notification.subject,
            at=notification.at,
            state=notification.state,
            reason=notification.reason,
            resent_at=resend and resend.asked_at,
        )


class NotificationList(View):
    items: list[NotificationView]


# --- webhooks ---------------------------------------------------------------------------------------------

Url = Annotated[
    str,
    Field(
        min_length=1,
        max_length=LONGEST,
        description="An HTTPS URL with a public address",
        json_schema_extra={"x-allowed": "a URL that begins with https://"},
    ),
]
Types = Annotated[
    list[EventType],
    Field(
        max_length=50, description="Which events the endpoint receives. Empty: all, including future types"
    ),
]
Description = Annotated[str, Field(max_length=200)]
Time = Annotated[
    AwareDatetime,
    Field(json_schema_extra={"x-allowed": "a time with its zone, such as 2026-11-26T09:00:00Z"}),
]


class NewEndpoint(Body, json_schema_extra={"examples": [examples.NEW_ENDPOINT]}):
    url: Url
    types: Annotated[Types, Field(default_factory=list)]
    description: Description = ""


class EndpointChanges(Body, json_schema_extra={"examples": [examples.CHANGES]}):
    """Fields that are left out stay as they are."""

    url: Url | None = None
    types: Types | None = None
    description: Description | None = None


class ReplayRequest(Body, json_schema_extra={"examples": [examples.REPLAY]}):
    """Events from `since` on and before `until`; without `until`, up to now."""

    since: Time
    until: Time | None = None
    types: Annotated[
        list[EventType],
        Field(default_factory=list, max_length=50, description="Empty: all types of the endpoint"),
    ]

    @field_validator("until")
    @classmethod
    def _after_since(cls, until: datetime | None, info: ValidationInfo) -> datetime | None:
        since = info.data.get("since")
        if until is not None and since is not None and until <= since:
            raise ValueError("give a time after since")
        return until


class ReplayView(View):
    replay_id: str
    since: datetime
    until: datetime
    types: list[EventType]
    deliveries: Annotated[int, Field(description="How many deliveries it has created so far")]
    done: Annotated[bool, Field(description="All deliveries are created; waiting ones are being sent")]

    @classmethod
    def of(cls, replay: Replay) -> Self:
        return cls(
            replay_id=replay.id,
            since=replay.since,
            until=replay.until,
            types=list(replay.types),
            deliveries=replay.count,
            done=replay.done,
        )


class EndpointView(View, json_schema_extra={"examples": [examples.ENDPOINT]}):
    endpoint_id: str
    url: str
    types: list[EventType]
    description: str
    state: EndpointState
    reason: Annotated[str, Field(description="Why it is DISABLED")]
    failing_since: Annotated[datetime | None, Field(description="Since when no delivery has succeeded")]
    former_secrets_until: Annotated[
        datetime | None, Field(description="Until when former secrets also sign calls")
    ]
    replay: Annotated[ReplayView | None, Field(description="The latest replay")]
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, endpoint: Endpoint, now: datetime) -> Self:
        return cls(**_of(endpoint, now))


class EndpointWithSecret(EndpointView, json_schema_extra={"examples": [examples.WITH_SECRET]}):
    secret: Annotated[
        str | None,
        Field(description="Shown only once; null if an earlier request with the Idempotency-Key got it"),
    ]

    @classmethod
    def showing(cls, endpoint: Endpoint, now: datetime, secret: str | None) -> Self:
        return cls(**_of(endpoint, now), secret=secret)


def _of(endpoint: Endpoint, now: datetime) -> dict[str, object]:
    ends = [each.until for each in endpoint.secrets if each.until is not None and now < each.until]
    return {
        "endpoint_id": endpoint.id,
        "url": endpoint.url,
        "types": list(endpoint.types),
        "description": endpoint.description,
        "state": endpoint.state,
        "reason": endpoint.reason,
        "failing_since": endpoint.failing_since,
        "former_secrets_until": max(ends, default=None),
        "replay": endpoint.replay and ReplayView.of(endpoint.replay),
        "created_at": endpoint.created_at,
        "updated_at": endpoint.updated_at,
    }


class EndpointList(View, json_schema_extra={"examples": [examples.ENDPOINTS]}):
    items: list[EndpointView]


class TriedView(View, json_schema_extra={"examples": [examples.TRIED]}):
    delivered: Annotated[bool, Field(description="The endpoint answered 2xx")]
    status: Annotated[int | None, Field(description="The status of its answer; null without an answer")]
    reason: Annotated[str, Field(description="What went wrong")]
    seconds: float

    @classmethod
    def of(cls, answer: Answer, seconds: float) -> Self:
        return cls(
            delivered=answer.is_success,
            status=answer.status,
            reason=answer.reason,
            seconds=round(seconds, 3),
        )


class DeliveryView(View, json_schema_extra={"examples": [examples.DELIVERY]}):
    delivery_id: Annotated[str, Field(description="The header `webhook-id` of each attempt")]
    event_id: str
    order_id: str
    type: EventType
    sequence: Annotated[int | None, Field(description="The number of steps that the order had taken")]
    at: Annotated[datetime, Field(description="The event's `time`")]
    state: DeliveryState
    attempts: int
    last_tried_at: datetime | None
    next_try_at: Annotated[
        datetime | None, Field(description="The earliest time of the next attempt, while WAITING")
    ]
    status: Annotated[int | None, Field(description="The status of the last answer; null without an answer")]
    reason: Annotated[str, Field(description="What went wrong at the last attempt")]

    @classmethod
    def of(cls, delivery: Delivery) -> Self:
        return cls(
            delivery_id=delivery.id,
            event_id=delivery.event_id,
            order_id=delivery.order_id,
            type=EventType(delivery.type),
            sequence=delivery.sequence or None,
            at=delivery.at,
            state=delivery.state,
            attempts=delivery.attempts,
            last_tried_at=delivery.last_tried_at,
            next_try_at=delivery.due if delivery.state is DeliveryState.WAITING else None,
            status=delivery.status,
            reason=delivery.reason,
        )


class DeliveryList(View, json_schema_extra={"examples": [examples.DELIVERIES]}):
    items: list[DeliveryView]
    next_cursor: str | None = None
