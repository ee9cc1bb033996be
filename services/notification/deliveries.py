"""An event on its way to an endpoint: its states, and when it is tried again. Pure."""

import re
import uuid
from collections.abc import Iterable
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Final

from msgspec import Struct, field, structs

from services.notification.cloudevents import TYPES
from services.notification.domain import Notification
from services.notification.endpoints import Endpoint, EndpointState

# A receiver has so long for its answer (seconds), the time to connect included.
ANSWERS_WITHIN: Final = 15.0
# Between one try and the next.
DELAYS: Final = (
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=14),
    timedelta(hours=20),
    timedelta(hours=20),
)
# From the first try: what was not taken by then is given up.
TRIED_FOR: Final = timedelta(hours=72)
# So much of a delay may be left out, so that what failed together does not come back together.
JITTER: Final = 0.2
# A receiver may ask for so much more time, and no more.
LONGEST_RETRY_AFTER: Final = timedelta(hours=1)
KEPT_FOR: Final = timedelta(days=30)
GONE: Final = 410
_SECONDS: Final = re.compile(r"[0-9]{1,9}")


class DeliveryState(StrEnum):
    WAITING = "WAITING"
    # The receiver has said 2xx.
    DELIVERED = "DELIVERED"
    # It has not, for as long as it was tried. The order's next one goes.
    FAILED = "FAILED"
    # The endpoint was disabled, or removed, before it was tried for as long as that.
    DROPPED = "DROPPED"


class Answer(Struct, frozen=True):
    """What came of a call."""

    # None where there was no answer.
    status: int | None
    # In a line, where it is not 2xx.
    reason: str = ""
    retry_after: timedelta | None = None

    @property
    def is_success(self) -> bool:
        return self.status is not None and 200 <= self.status < 300  # noqa: PLR2004  # RFC 9110

    @property
    def is_gone(self) -> bool:
        """The receiver wants to hear no more."""
        return self.status == GONE


def retry_after(text: str, date: str) -> timedelta | None:
    """What a receiver asks for (RFC 9110, 10.2.3): seconds, or a time, which counts from its own `Date`.

    None where it asks for nothing that can be understood.
    """
    if _SECONDS.fullmatch(text.strip()):
        return timedelta(seconds=int(text))
    try:
        return max(timedelta(0), parsedate_to_datetime(text) - parsedate_to_datetime(date))
    except (TypeError, ValueError, OverflowError):  # one of them may lack its zone
        return None


class Delivery(Struct, frozen=True, rename="camel", kw_only=True):
    """Its id is the call's `webhook-id`, whenever and however often it is made."""

    id: str = field(name="_id")
    endpoint_id: str
    event_id: str
    order_id: str
    # The event's type, as it is called outside.
    type: str
    # 0 where the publisher did not say.
    sequence: int
    # The event's time.
    at: datetime
    state: DeliveryState = DeliveryState.WAITING
    # When it is tried next, while it is WAITING.
    due: datetime
    attempts: int = 0
    first_tried_at: datetime | None = None
    last_tried_at: datetime | None = None
    # Of the last answer, if there was one.
    status: int | None = None
    reason: str = ""
    # Of the replay that asked for it the last time.
    replay: str | None = None
    # When it may be forgotten.
    expires_at: datetime


def id_of(event_id: str, endpoint_id: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"webhook/{endpoint_id}/{event_id}"))


def made(told: Notification, endpoint: Endpoint, now: datetime, replay: str | None = None) -> Delivery | None:
    """Of what happened, to the endpoint: to be made at once. None where the endpoint is not told of it."""
    type_ = TYPES.get(told.kind)
    if type_ is None or told.data is None or endpoint.state is not EndpointState.ENABLED:
        return None
    if replay is None and (not endpoint.wants(type_) or told.at < endpoint.created_at):
        return None
    return Delivery(
        id=id_of(told.id, endpoint.id),
        endpoint_id=endpoint.id,
        event_id=told.id,
        order_id=told.order_id,
        type=type_,
        sequence=told.sequence or 0,
        at=told.at,
        due=now,
        replay=replay,
        expires_at=now + KEPT_FOR,
    )


def firsts(deliveries: Iterable[Delivery]) -> dict[str, Delivery]:
    """Of each order, by its id, the one that is sent first."""
    found: dict[str, Delivery] = {}
    for each in deliveries:
        found[each.order_id] = min(found.get(each.order_id, each), each, key=_place)
    return found


def _place(delivery: Delivery) -> tuple[int, datetime, str]:
    """Publishers who say no sequence are older than those who do."""
    return delivery.sequence, delivery.at, delivery.id


def answered(delivery: Delivery, answer: Answer, at: datetime, roll: float) -> Delivery:
    """After a try that ended `at`; `roll`, from 0 to 1, spreads the next one."""
    attempts = delivery.attempts + 1
    first = delivery.first_tried_at or at
    tried = structs.replace(
        delivery,
        attempts=attempts,
        first_tried_at=first,
        last_tried_at=at,
        status=answer.status,
        reason=answer.reason,
    )
    if answer.is_success:
        return structs.replace(tried, state=DeliveryState.DELIVERED, reason="")
    again = None if answer.is_gone else next_try(attempts, first, at, answer.retry_after, roll)
    if again is None:
        return structs.replace(tried, state=DeliveryState.FAILED)
    return structs.replace(tried, due=again)


def next_try(
    attempts: int, first: datetime, at: datetime, retry_after: timedelta | None, roll: float
) -> datetime | None:
    """After so many tries, of which the last ended `at`; None where it was the last."""
    if attempts > len(DELAYS):
        return None
    delay = DELAYS[attempts - 1] * (1 - JITTER * roll)
    asked = min(retry_after or timedelta(0), LONGEST_RETRY_AFTER)
    again = min(at + max(delay, asked), first + TRIED_FOR)
    return again if again > at else None
